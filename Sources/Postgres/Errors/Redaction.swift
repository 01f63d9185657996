/// Removes the password from messages of the server and of libpq.
struct Redaction {
    private let password: String

    init(password: String?) { self.password = password ?? "" }

    func callAsFunction(_ text: String) -> String {
        password.isEmpty || !text.contains(password) ? text : text.replacing(password, with: "***")
    }
}

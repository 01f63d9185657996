import Glibc

/// An account of this machine, for messages.
struct Account: Sendable, Equatable, CustomStringConvertible {
    let id: uid_t

    /// The account that the process acts as.
    static var current: Account { Account(id: geteuid()) }

    /// The account's name; its number where it has no name.
    var name: String {
        var entry = passwd()
        var result: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4_096)
        guard getpwuid_r(id, &entry, &buffer, buffer.count, &result) == 0, result != nil else { return String(id) }
        return entry.pw_name.map { String(cString: $0) } ?? String(id)
    }

    var description: String { name == String(id) ? "user id \(id)" : "\(name) (user id \(id))" }
}

/// What the system says of an error number: "Permission denied".
func systemReason(_ code: CInt) -> String { String(cString: strerror(code)) }

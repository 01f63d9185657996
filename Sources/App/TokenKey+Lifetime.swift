package import API

extension TokenKey {
    /// How long a token is valid that a command signs, where nothing else is said: a day.
    package static let standardLifetimeMilliseconds: Int64 = 86_400_000
}

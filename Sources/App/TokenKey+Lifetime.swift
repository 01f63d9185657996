package import API

extension TokenKey {
    /// The default lifetime of tokens that commands sign: a day.
    package static let standardLifetimeMilliseconds: Int64 = 86_400_000
}

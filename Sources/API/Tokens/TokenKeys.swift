import Synchronization

/// The keys that verify tokens, of the data folder and of the issuer, and all that happens when they change.
///
/// The keys live in a mutex. Each event loop has a copy, and gets a new one on its loop when they change; so checking a token takes no
/// lock. Changes reach a loop in their order, because each is handed to it under the mutex.
package final class TokenKeys: Sendable {
    private struct State {
        var verifier: TokenVerifier
        var loops: [@Sendable (Change) -> Void] = []
    }

    /// What an event loop is told.
    struct Change: Sendable {
        let verifier: TokenVerifier
        /// The numbers of the keys that left; see ``KeyNumbers``.
        let removed: Set<UInt8>
    }

    private let state: Mutex<State>
    private let rules: IssuerRules
    let checks: SignatureChecks
    /// Reads the issuer's keys; nil without an issuer.
    let issuer: IssuerKeyReader?

    /// Keys of the data folder alone.
    package convenience init(_ key: TokenKey) { self.init(local: [key.local()], rules: IssuerRules(), issuer: nil) }

    init(local: [LocalKey], rules: IssuerRules, issuer: IssuerKeyReader?, checks: SignatureChecks = SignatureChecks()) {
        (self.rules, self.issuer, self.checks) = (rules, issuer, checks)
        var numbers = KeyNumbers(taken: [])
        state = Mutex(State(verifier: TokenVerifier(localKeys: local.map { $0.numbered(numbers.next()) })))
    }

    /// Calls `install` with each later change, in order. Returns the keys of now.
    func follow(_ install: @escaping @Sendable (Change) -> Void) -> TokenVerifier {
        state.withLock { state in
            state.loops.append(install)
            return state.verifier
        }
    }

    /// Whether a loop that has these keys of the issuer is about to get others.
    func hasOther(than issuer: IssuerTokens?) -> Bool { state.withLock { $0.verifier.issuer !== issuer } }

    /// Replaces the keys of the data folder.
    func replace(local keys: [LocalKey]) {
        change { former, numbers in
            let keys = keys.map { key in
                let same = former.localKeys.first { $0.fingerprint == key.fingerprint && $0.endsAt == key.endsAt }
                return key.numbered(same?.number ?? numbers.next())
            }
            return TokenVerifier(localKeys: keys, issuer: former.issuer)
        }
    }

    /// Replaces the keys of the issuer.
    ///
    /// - Returns: the keys that are new and those that have left.
    @discardableResult
    func replace(issuer keys: IssuerKeySet) -> (added: [IssuerKey], removed: [IssuerKey]) {
        var difference: (added: [IssuerKey], removed: [IssuerKey]) = ([], [])
        change { former, numbers in
            let formerKeys = former.issuer?.keys
            let keys = keys.numbered(like: formerKeys, &numbers)
            difference.added = keys.keys.filter { key in !(formerKeys?.keys.contains { $0 === key } ?? false) }
            difference.removed = formerKeys?.keys.filter { key in !keys.keys.contains { $0 === key } } ?? []
            return TokenVerifier(localKeys: former.localKeys, issuer: IssuerTokens(keys: keys, rules: rules))
        }
        return difference
    }

    private func change(_ make: (TokenVerifier, inout KeyNumbers) -> TokenVerifier) {
        state.withLock { state in
            let former = state.verifier.keyNumbers
            var numbers = KeyNumbers(taken: former)
            state.verifier = make(state.verifier, &numbers)
            let change = Change(verifier: state.verifier, removed: former.subtracting(state.verifier.keyNumbers))
            for install in state.loops { install(change) }
        }
    }
}

extension TokenVerifier {
    fileprivate var keyNumbers: Set<UInt8> { Set(localKeys.map(\.number) + (issuer?.keys.keys.map(\.number) ?? [])) }
}

/// A script that decides at the end of every handshake whether this client may use the server.
///
/// The script must be one of the configuration's `scripts`, which the handshake loads first.
package struct RedisAdmission: Sendable, Equatable {
    let command: RedisCommand
    /// The call that asks again on a connection whose handshake admitted this client.
    private let renewal: RedisCommand
    /// Reads the script's answer: why the client must not use the server, or nil where it may.
    let refusal: @Sendable (RedisValue) -> String?

    package init(
        _ script: RedisScript, keys: [RedisArgument], arguments: [RedisArgument], renewing: [RedisArgument],
        refusal: @escaping @Sendable (RedisValue) -> String?
    ) {
        command = RedisCommand(script, keys: keys, arguments: arguments)
        renewal = RedisCommand(script, keys: keys, arguments: renewing)
        self.refusal = refusal
    }

    /// Why this client must not use the server after that answer, or nil where it may.
    func error(given reply: RedisValue) -> RedisError? {
        if case .error(let error) = reply { return RedisError(error) }
        return refusal(reply).map { RedisError(.notAdmitted, $0) }
    }

    /// Asks the connected server again: returns why the client must no longer use it, or nil where it may.
    package nonisolated(nonsending) func ask(_ client: RedisClient) async throws(RedisError) -> RedisError? {
        error(given: try await client.send(renewal))
    }

    package static func == (left: RedisAdmission, right: RedisAdmission) -> Bool { left.command == right.command }
}

/// A script that decides at the end of every handshake whether this client may use the server.
///
/// It is one of the configuration's scripts, which the handshake loads before.
package struct RedisAdmission: Sendable, Equatable {
    let command: RedisCommand
    /// Asks a server that has admitted this client, and on whose connection it still is.
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

    /// Asks a server again to which the client is connected already.
    package nonisolated(nonsending) func ask(_ client: RedisClient) async throws(RedisError) -> RedisError? {
        error(given: try await client.send(renewal))
    }

    package static func == (left: RedisAdmission, right: RedisAdmission) -> Bool { left.command == right.command }
}

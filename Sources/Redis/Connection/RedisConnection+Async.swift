import EventLoops
import NIOCore

/// The `async` functions of a connection. A task that runs on the connection's loop stays on its thread.
extension RedisConnection {
    /// Sends one command and waits for its reply. An error reply is thrown, with the code `.server`.
    package nonisolated(nonsending) func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        try await outcome(of: command).get()
    }

    /// Runs `script` by its digest and waits for its reply. An error reply is thrown, with the code `.server`.
    package nonisolated(nonsending) func evaluate(
        _ script: RedisScript,
        keys: [RedisArgument],
        arguments: [RedisArgument] = []
    ) async throws(RedisError) -> RedisValue {
        try await outcome(of: RedisCommand(script, keys: keys, arguments: arguments)).get()
    }

    /// Sends the commands together and waits for all replies, in order. Error replies are elements of the result.
    ///
    /// Other commands may run in between: for atomicity use a script. Throws the first failure that is not an error reply,
    /// once every command has its reply or failure. Where the queue has no room for all commands, none is sent.
    package nonisolated(nonsending) func pipeline(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
        try await outcomes(of: commands).map { outcome throws(RedisError) in try outcome.get() }
    }

    /// As ``pipeline(_:)``, with the failure of each command in its place: in a cluster some may reach their node while others do not.
    package nonisolated(nonsending) func outcomes(of commands: [RedisCommand]) async -> [Result<RedisValue, RedisError>] {
        if commands.isEmpty { return [] }
        let ticket = RedisTicket()
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                onLoop { connection in connection.enqueue(commands, ticket, continuation) }
            }
        } onCancel: {
            onLoop { $0.cancel(ticket) }
        }
    }

    private nonisolated(nonsending) func outcome(of command: RedisCommand) async -> Result<RedisValue, RedisError> {
        guard eventLoop.inEventLoop else { return await outcomeFromElsewhere(of: command) }
        if Task.isCancelled { return .failure(Self.cancelledBeforeSending) }
        let id = nextCommandID
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { enqueue(command, .continuation($0)) }
        } onCancel: {
            eventLoop.execute { self.cancel(id) }
        }
    }

    private nonisolated(nonsending) func outcomeFromElsewhere(of command: RedisCommand) async -> Result<RedisValue, RedisError> {
        let ticket = RedisTicket()
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                eventLoop.execute {
                    if ticket.isCancelled {
                        continuation.resume(returning: .failure(Self.cancelledBeforeSending))
                    } else {
                        ticket.ids = self.nextCommandID..<(self.nextCommandID + 1)
                        self.enqueue(command, .continuation(continuation))
                    }
                }
            }
        } onCancel: {
            onLoop { $0.cancel(ticket) }
        }
    }

    private static let cancelledBeforeSending = RedisError(.cancelled, "the caller was cancelled before its command was sent")

    private func onLoop(_ body: @escaping @Sendable (RedisConnection) -> Void) {
        if eventLoop.inEventLoop { body(self) } else { eventLoop.execute { body(self) } }
    }

    private func enqueue(
        _ commands: [RedisCommand],
        _ ticket: RedisTicket,
        _ continuation: UnsafeContinuation<[Result<RedisValue, RedisError>], Never>
    ) {
        if ticket.isCancelled {
            continuation.resume(returning: commands.map { _ in .failure(Self.cancelledBeforeSending) })
        } else if let refusal = refusal(ofCommands: commands.count) {
            if refusal.code == .overloaded { counters.overloaded.add(commands.count) }
            continuation.resume(returning: commands.map { _ in .failure(refusal) })
        } else {
            let replies = RedisPipelineReplies(count: commands.count, continuation)
            ticket.ids = nextCommandID..<(nextCommandID + UInt64(commands.count))
            for (index, command) in commands.enumerated() { enqueue(command, .place(replies, index)) }
        }
    }

    private func cancel(_ ticket: RedisTicket) {
        ticket.isCancelled = true
        for id in ticket.ids { cancel(id) }
    }
}

/// The ids of a caller's commands, by which it cancels them. Off the loop, the caller makes the ticket before the loop assigns the ids.
///
/// Safety of `@unchecked Sendable`: touched on the connection's loop only.
private final class RedisTicket: @unchecked Sendable {
    var isCancelled = false
    var ids: Range<UInt64> = 0..<0
}

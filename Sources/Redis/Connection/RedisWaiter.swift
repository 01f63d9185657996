/// The caller that waits for the reply to one command.
enum RedisWaiter {
    case continuation(UnsafeContinuation<Result<RedisValue, RedisError>, Never>)
    case completion((Result<RedisValue, RedisError>) -> Void)
    /// One place of a pipeline's answer.
    case place(RedisPipelineReplies, Int)
    /// A router, which decides by the reply whether the command of this id has to go to another node.
    case routed(RedisRouter, UInt64)
    /// Nobody reads the reply.
    case nobody

    /// Ends the wait, on the loop. For a single command the server's error reply is a failure.
    func resume(_ result: Result<RedisValue, RedisError>) {
        switch self {
        case .continuation(let continuation): continuation.resume(returning: result.failingOnErrorReply)
        case .completion(let completion): completion(result.failingOnErrorReply)
        case .place(let replies, let index): replies.settle(index, result)
        case .routed(let router, let id): router.received(result, for: id)
        case .nobody: break
        }
    }
}

extension Result where Success == RedisValue, Failure == RedisError {
    fileprivate var failingOnErrorReply: Self {
        if case .success(.error(let error)) = self { .failure(RedisError(error)) } else { self }
    }
}

/// Collects the replies to the commands of one pipeline. Loop-confined like the connection it belongs to.
final class RedisPipelineReplies {
    private var results: [Result<RedisValue, RedisError>]
    private var missing: Int
    private let continuation: UnsafeContinuation<[Result<RedisValue, RedisError>], Never>

    init(count: Int, _ continuation: UnsafeContinuation<[Result<RedisValue, RedisError>], Never>) {
        results = Array(repeating: .success(.null), count: count)
        missing = count
        self.continuation = continuation
    }

    /// Ends the pipeline once every command has its reply or failure.
    func settle(_ index: Int, _ result: Result<RedisValue, RedisError>) {
        results[index] = result
        missing -= 1
        if missing == 0 { continuation.resume(returning: results) }
    }
}

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
    private var values: [RedisValue]
    private var missing: Int
    private var failure: RedisError?
    private let continuation: UnsafeContinuation<Result<[RedisValue], RedisError>, Never>

    init(count: Int, _ continuation: UnsafeContinuation<Result<[RedisValue], RedisError>, Never>) {
        values = Array(repeating: .null, count: count)
        missing = count
        self.continuation = continuation
    }

    /// Ends the pipeline once every command has its reply or failure.
    func settle(_ index: Int, _ result: Result<RedisValue, RedisError>) {
        switch result {
        case .success(let value): values[index] = value
        case .failure(let error): failure = failure ?? error
        }
        missing -= 1
        guard missing == 0 else { return }
        continuation.resume(returning: failure.map(Result.failure) ?? .success(values))
    }
}

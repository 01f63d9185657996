import NIOCore

/// A command on its way through a router, and what follows from each answer to it. It does nothing by itself: no I/O and no clock.
struct RedisRoutedCommand {
    /// The node that a command has to reach.
    enum Target: Equatable {
        /// The primary that serves the slot at the time.
        case slot(RedisSlot)
        /// Any primary: the command has no key.
        case anyPrimary
        /// This primary and no other, whatever it answers.
        case node(RedisNodeAddress)
    }

    /// What to do after an answer.
    enum Step: Equatable {
        /// Hand the answer to the caller.
        case deliver
        /// Fail: nothing ran, and trying again has no prospect.
        case fail(RedisError.Code, String)
        /// Send it to the node that serves the slot now, once it can be reached.
        case again
        /// Send it again after a pause.
        case later(TimeAmount)
        /// The slot belongs to that node from now on: send it there.
        case moved(RedisRedirection)
        /// Send it to that node, behind `ASKING`; the slot still belongs to the other one.
        case ask(RedisRedirection)
    }

    let command: RedisCommand
    var target: Target
    let deadline: NIODeadline
    let waiter: RedisWaiter
    /// The node it waits for, and nil while it waits in the router.
    var node: RedisNodeAddress?
    /// It was handed to a node once, so it waits for another one until its deadline.
    private(set) var wasSent = false
    /// A connection broke before its reply.
    private(set) var mayHaveRun = false
    /// Why it has not run yet, boxed: commands are copied, and hardly one meets an obstacle.
    private(set) var obstacle: (any Error)?
    private var redirections = 0

    /// More would mean that the nodes disagree about a slot for longer than they need to agree.
    static let maximumRedirections = 5
    /// A slot's keys are moved in batches, each of which takes milliseconds.
    static let pauseWhileMoving = TimeAmount.milliseconds(20)
    /// A failover takes seconds.
    static let pauseWhileDown = TimeAmount.milliseconds(50)

    init(_ command: RedisCommand, to target: Target? = nil, deadline: NIODeadline, waiter: RedisWaiter) {
        self.command = command
        self.target = target ?? command.slot.map(Target.slot) ?? .anyPrimary
        self.deadline = deadline
        self.waiter = waiter
    }

    mutating func sent(to node: RedisNodeAddress) {
        self.node = node
        wasSent = true
    }

    /// Decides what follows from the answer of the node it was sent to.
    mutating func step(after answer: Result<RedisValue, RedisError>) -> Step {
        guard let asked = node else { return .deliver }
        node = nil
        if case .node = target { return .deliver }
        switch answer {
        case .success(.error(let error)): return step(after: error, from: asked)
        case .success: return .deliver
        case .failure(let error):
            obstacle = error
            switch error.code {
            // Nothing was sent on the connection that was lost or closed.
            case .notConnected, .closed: return .again
            case .unknownOutcome where command.isRepeatable:
                mayHaveRun = true
                return .again
            default: return .deliver
            }
        }
    }

    private mutating func step(after error: RedisServerError, from asked: RedisNodeAddress) -> Step {
        switch error.kind {
        case .moved: return redirection(error, from: asked).map(Step.moved) ?? tooManyRedirections
        case .ask: return redirection(error, from: asked).map(Step.ask) ?? tooManyRedirections
        case .tryAgain:
            obstacle = RedisError(error)
            return .later(Self.pauseWhileMoving)
        case .clusterDown, .loading, .primaryDown, .readOnly:
            obstacle = RedisError(error)
            return .later(Self.pauseWhileDown)
        default: return .deliver
        }
    }

    private mutating func redirection(_ error: RedisServerError, from asked: RedisNodeAddress) -> RedisRedirection? {
        redirections += 1
        obstacle = RedisError(error)
        return redirections > Self.maximumRedirections ? nil : RedisRedirection(error, from: asked)
    }

    private var tooManyRedirections: Step {
        mayHaveRun
            ? .fail(.unknownOutcome, "the connection to Redis broke before the reply")
            : .fail(.notConnected, "the nodes of the cluster do not agree which of them serves the key")
    }

    /// Why it failed, once its deadline has passed.
    var errorAtDeadline: RedisError {
        if node != nil || mayHaveRun { return RedisError(.timedOut, "no reply from Redis within the deadline", cause: obstacle) }
        return RedisError(.notConnected, "Redis could not run the command within the deadline", cause: obstacle)
    }
}

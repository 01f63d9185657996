import NIOPosix
import Redis

extension RedisClient {
    /// True while no loop's connection is ready: each has noticed that the server is gone.
    ///
    /// A test that starts the server again before that may ask over a connection that has not noticed it yet.
    var isAway: Bool { MultiThreadedEventLoopGroup.singleton.makeIterator().allSatisfy { !connection(on: $0).isConnected } }
}

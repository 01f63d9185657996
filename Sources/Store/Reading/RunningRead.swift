import Synchronization

/// A read that waits or runs in a lane, and that other threads may end.
final class RunningRead: Sendable {
    /// Why a read ends early.
    enum Ending: UInt8, AtomicRepresentable {
        case none
        /// Its snapshot keeps the write-ahead log from starting over.
        case logTooLong
        /// Its caller was cancelled.
        case cancelled
    }

    private let state = Atomic(Ending.none)

    var ending: Ending { state.load(ordering: .acquiring) }

    /// Ends the read at its next statement, or in the middle of the one that runs; the first reason counts.
    func end(_ reason: Ending) {
        _ = state.compareExchange(expected: .none, desired: reason, ordering: .acquiringAndReleasing)
    }

    func checkNotEnded() throws(StoreError) {
        switch ending {
        case .none: break
        case .logTooLong: throw StoreError(interrupting: nil)
        case .cancelled: throw Self.cancelled
        }
    }

    /// The error that the read's caller gets.
    func failure(_ error: any Error) -> StoreError {
        ending == .cancelled ? Self.cancelled : StoreError(classifying: error)
    }

    static let cancelled = StoreError(.cancelled, "the caller of the read was cancelled")
}

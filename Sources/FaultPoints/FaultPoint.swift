#if DEBUG
import Foundation
import Synchronization
#endif

/// A boundary between two steps at which a test may end the process, to see what a crash there leaves behind.
///
/// Debug builds read `FIRSTCOME_FAULT_POINT=name:N` at their first boundary, such as `afterScript:3`, and end with SIGKILL when
/// that boundary is reached for the Nth time. Release builds contain none of it.
package enum FaultPoint: String, CaseIterable, Sendable {
    /// The gate has granted a place, and nothing of it is in the store.
    case afterScript
    /// A group of writes is decided, and not yet committed.
    case beforeCommit
    /// A group of writes is durable, and none of them has been answered.
    case afterCommit
    /// A success is rendered, and none of its bytes is sent.
    case beforeAnswer
    /// The relay has read events that Redis has not counted.
    case beforeRecordSales
    /// Redis has counted events, and the relay has not read its reply.
    case afterRecordSales
    /// Rebuilt scores are staged, and the old ones are still in use.
    case beforeSwapSales
    /// An event is about to be sent to its sink.
    case beforeDelivery
    /// The sink has taken an event, and the store does not have it as delivered.
    case afterDelivery
    /// A gate of a new epoch is paused, and the store does not have the epoch yet.
    case afterLoadCoupon
    /// A new epoch is durable, and its gate holds no claim yet.
    case afterEpoch
    /// A gate holds some of its claims or all, and is not open yet.
    case afterLoadClaims
    /// Claims that only the gate has are about to be written to the store.
    case beforePersist
    /// A change of quantity or window has been made in one of store and gate, and not yet in the other.
    case betweenStoreAndGate
    /// The list of a grant is written, and the grant is not started.
    case beforeGrantStart
    /// The gate has granted places to users of a list, and nothing of it is in the store.
    case afterGrantScript
    /// The coupons of a part of a list are in the store, and its outcomes are not.
    case beforeGrantOutcomes
    /// A restore has copied the backup under a temporary name.
    case afterRestoreCopy
    /// The restored file is ready, and the former store is in place.
    case beforeRestoreRename
    /// The restored file is in place.
    case afterRestoreRename

    /// The boundaries that a running service passes whoever its clients are.
    package static let ofService = allCases.filter { !ofRestore.contains($0) && !ofGrants.contains($0) }
    private static let ofRestore: [FaultPoint] = [.afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename]
    /// The boundaries that only a grant to a list passes.
    package static let ofGrants: [FaultPoint] = [.beforeGrantStart, .afterGrantScript, .beforeGrantOutcomes]

    /// The environment variable that names the boundary.
    package static let variable = "FIRSTCOME_FAULT_POINT"

    #if DEBUG
    /// Ends the process if this is the boundary and the time for it.
    package func reached() {
        guard let trap = Self.trap, trap.point == self else { return }
        guard trap.passages.add(1, ordering: .relaxed).newValue == trap.last else { return }
        // Gives an answer that was sent too early the time to reach its client, whose check then finds its effect missing.
        usleep(20_000)
        kill(getpid(), SIGKILL)
        // The signal may not be delivered yet, and nothing of the next step may run before it is.
        while true { pause() }
    }

    private final class Trap: Sendable {
        let point: FaultPoint
        let last: Int
        let passages = Atomic<Int>(0)

        init(_ point: FaultPoint, last: Int) { (self.point, self.last) = (point, last) }
    }

    private static let trap: Trap? = {
        guard let value = ProcessInfo.processInfo.environment[variable] else { return nil }
        let parts = value.split(separator: ":")
        guard parts.count == 2, let point = FaultPoint(rawValue: String(parts[0])), let last = Int(parts[1]), last > 0 else {
            // Without this, a test with a misspelled boundary would pass without testing anything.
            fatalError("\(variable)=\(value): there is no such boundary")
        }
        return Trap(point, last: last)
    }()
    #else
    /// Does nothing: release builds have no fault points.
    @inlinable package func reached() {}
    #endif
}

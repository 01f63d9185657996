import Commerce
import Store
import Synchronization

/// Counts what recovery found and repaired, for `/metrics`. Any thread may count.
final class FindingCounter: Sendable {
    private let clock: WallClock
    /// The latest findings, the latest first; at most ``mostLatest``.
    private let ring = Mutex<[Finding]>([])

    /// How many findings are kept with their times.
    static let mostLatest = 20

    init(clock: WallClock = .system) { self.clock = clock }

    /// What was found. The raw value is the label of the metric.
    enum Kind: String, CaseIterable, Sendable {
        /// A live campaign had no gate; it was built.
        case gateMissing = "gate_missing"
        /// A build of the gate had not ended; it was taken over.
        case gateUnfinished = "gate_unfinished"
        /// The gate contradicted itself; it was rebuilt.
        case gateDamaged = "gate_damaged"
        /// The gate was of another epoch than the store's, as after an older snapshot of Redis; it was rebuilt.
        case epochMoved = "epoch_moved"
        /// The gate was of another store, or of another incarnation of this one; it was rebuilt.
        case otherStore = "other_store"
        /// The gate missed claims of the store, or had others; it was rebuilt.
        case gateContradicted = "gate_contradicted"
        /// The gate had another quantity or window than the store; it was given the store's.
        case termsChanged = "terms_changed"
        /// A claim had passed the gate and had no row; the row was written.
        case claimUnwritten = "claim_unwritten"
        /// The ranking had lost scores or its offset, or there was none yet; it was rebuilt.
        case rankingRebuilt = "ranking_rebuilt"
        /// The stream had lost an event that was delivered; it is sent again.
        case streamEventLost = "stream_event_lost"

        /// Why a gate that is there cannot be used.
        init(_ gate: CouponGate.GateState, of campaign: Campaign, in store: StoreIdentity) {
            if !gate.isOf(store) {
                self = .otherStore
            } else if !gate.isOpen {
                self = .gateUnfinished
            } else if gate.epoch != campaign.epoch {
                self = .epochMoved
            } else {
                self = .gateDamaged
            }
        }

        fileprivate var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    private let counts = InlineArray<10, Atomic<Int>> { _ in Atomic(0) }

    func add(_ kind: Kind, _ count: Int = 1) {
        counts[kind.place].wrappingAdd(count, ordering: .relaxed)
        guard count > 0 else { return }
        let finding = Finding(at: clock.now, kind: "\(kind)", count: count)
        ring.withLock { latest in
            if latest.count == Self.mostLatest { latest.removeLast() }
            latest.insert(finding, at: 0)
        }
    }

    /// The latest findings, the latest first.
    var latest: [Finding] { ring.withLock { $0 } }

    func count(of kind: Kind) -> Int { counts[kind.place].load(ordering: .relaxed) }
}

package import Commerce
import Foundation

/// How a store is opened.
package struct StoreOptions: Sendable {
    package var policy: Policy
    /// Decides the business day of an order number and of a sale.
    package var calendar: BusinessCalendar
    /// Renders the document for the data platform; called inside the transaction, so it must be quick and must not fail.
    package var eventPayload: @Sendable (EventFacts) -> String

    /// The number of a new store's first incarnation, see ``StoreIdentity``; nil for the present time. With 0 event ids count from 1.
    package var firstIncarnation: Int64?

    /// Opens for snapshots and lists alone, also beside a running service; writes are refused.
    package var isReadOnly = false
    /// The most writes in one transaction, unless a single job makes more: bounds how long the first of a group waits for the last.
    package var maximumGroup = 512
    /// The most writes that may wait for the writer; past it a write is `.overloaded`.
    package var maximumQueued = 16_384
    /// How long the writer waits for more jobs before it starts a group. With 0, jobs only collect while a commit is flushed.
    package var groupDelayMicroseconds: UInt32 = 0
    package var serviceReads = ReadLaneOptions(connections: 2, maximumReads: 1_024)
    package var personalReads = ReadLaneOptions(connections: 2, maximumReads: 512)
    /// Public lists: on half of the cores, because sending their answers takes time of the event loops too.
    package var browseReads = ReadLaneOptions.browse(cores: ProcessInfo.processInfo.activeProcessorCount)
    /// What a page of products may cost, in units of ``SearchBudget/Step``: less than 5 ms of a core.
    package var searchBudget = usualSearchBudget
    /// How long the writer waits for another process that holds the write lock.
    package var busyTimeoutMilliseconds = 2_000
    /// Pages (4 KiB each) in the write-ahead log at which a commit copies it back to the database file: 16 MiB.
    package var checkpointPages = 4_096
    /// Bytes of the write-ahead log past which the oldest reads are ended, because one of them keeps it from starting over; see
    /// ``LogBound``.
    package var maximumLogBytes: Int64 = 512 << 20

    /// SQLite's page size, which no store changes.
    static let pageBytes: Int64 = 4_096
    var checkpointBytes: Int64 { Int64(checkpointPages) * Self.pageBytes }

    static let usualSearchBudget = 16_000

    package init(
        policy: Policy = Policy(), calendar: BusinessCalendar, eventPayload: @escaping @Sendable (EventFacts) -> String
    ) {
        (self.policy, self.calendar, self.eventPayload) = (policy, calendar, eventPayload)
    }
}

/// The facts from which an event's payload is rendered when the event is written.
package struct EventFacts: Sendable {
    package let id: EventID
    package let kind: OrderEvent.Kind
    package let occurredAt: Instant
    /// The order after what happened.
    package let order: Order
    /// The payment after what happened.
    package let payment: Payment
    /// `nil` for a sale.
    package let refund: Refund?
    /// The units given back; empty for a sale.
    package let refundedItems: [RequestedItem]
}

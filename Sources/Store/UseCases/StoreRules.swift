package import Commerce

/// What use cases decide by, beside the rows. One object for the life of a store.
package final class StoreRules: Sendable {
    package let policy: Policy
    /// Decides the business day of an order number and of a sale.
    package let calendar: BusinessCalendar
    /// Renders the document for the data platform; called inside the transaction.
    package let eventPayload: @Sendable (EventFacts) -> String

    package init(_ options: StoreOptions) {
        (policy, calendar, eventPayload) = (options.policy, options.calendar, options.eventPayload)
    }
}

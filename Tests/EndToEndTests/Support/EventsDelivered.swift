import TestSupport

/// Waits until every event of the outbox has reached its sink and is counted, so that the store stands still.
func eventsDelivered(_ live: LiveService) async throws {
    try await eventually("every event is delivered") {
        try await live.admin.get("/admin/events?state=waiting").expect(200).items().isEmpty
    }
}

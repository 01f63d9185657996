import Commerce
import EventLoops

/// Counts, for one event loop, the payments that succeeded. Stored answers that are sent again do not count.
final class PaymentTotals: Sendable {
    private let payments = LoopCounter()
    private let amount = LoopCounter()

    /// Counts one payment. Only the loop that owns this may call it.
    func count(_ paid: Won) {
        payments.add()
        amount.add(Int(paid.rawValue))
    }

    /// How many payments there were, and their sum.
    var total: (payments: Int, amount: Int) { (payments.value, amount.value) }
}

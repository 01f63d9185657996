/// What a request does to the queues behind the event loops, and so whether it may be refused while one of them stands.
enum WorkClass: Sendable {
    /// Never refused: answered from memory, or needed to operate the service.
    case kept
    /// An open list.
    case browsing
    /// A list of one person.
    case personalList
    /// A write that begins something. A claim is one that asks Redis first; it is refused only where Redis would have to decide it.
    case newWrite, claim
    /// A write that finishes what was begun: it is refused later than a new one.
    case finishingWrite

    init(operationID: String) {
        switch operationID {
        case "listProducts", "listCoupons", "listChain": self = .browsing
        case "listBalanceHistory", "listIssuedCoupons", "listOrders": self = .personalList
        case "placeOrder", "checkout", "chargeBalance": self = .newWrite
        case "claimCoupon": self = .claim
        case "payOrder", "cancelOrder": self = .finishingWrite
        default: self = .kept
        }
    }
}

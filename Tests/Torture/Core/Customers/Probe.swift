import TestSupport

/// A customer without a shopper, who finds out when something works again.
struct Probe: Sendable {
    let customer: Customer
    let client: ServiceClient

    /// Charges, and repeats it until there is an answer.
    func charge() async {
        let amount = customer.note { record in
            let amount = record.newChargeAmount()
            record.charges[amount] = ChargeRecord(told: .unknown)
            return amount
        }
        let request = ServiceClient.Request(
            caller: customer.caller, path: "/users/\(customer.id)/balance/charges", body: #"{"amount": \#(amount)}"#,
            key: ServiceClient.newKey())
        guard let answer = await client.askUntilFinal(request) else { return }
        guard answer.status == 201 else { return client.findings.add(.wrong, "a charge answered \(answer.status) \(answer.text)") }
        let (id, balance) = (try? answer.int("chargeId"), try? answer.int("balance"))
        customer.note { $0.charges[amount] = ChargeRecord(told: .yes, chargeID: id, balance: balance) }
    }

    /// Claims a coupon of that campaign, and repeats it until there is an answer.
    func claim(_ campaign: Int64) async {
        let shopper = Shopper(
            customers: [customer], admin: customer.caller, client: client, catalogue: Catalogue(), random: SeededGenerator(seed: 0))
        await shopper.claim(campaign, by: customer, key: nil, copies: 1, retrying: true)
    }
}

extension Environment {
    /// The last of the round's customers, who has no shopper.
    var probe: Probe { Probe(customer: customers[customers.count - 1], client: client) }

    /// Measures how long it takes until something works again, from now or an earlier moment.
    func measure(
        _ limit: Duration, since start: ContinuousClock.Instant = .now, _ attempt: () async throws -> Void
    ) async throws {
        try await attempt()
        let time = start.duration(to: .now)
        // Where the round measures several times, the worst counts.
        if time > firstSuccess?.time ?? .zero { firstSuccess = FirstSuccess(time: time, limit: limit) }
    }
}

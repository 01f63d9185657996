import App
import ArgumentParser
import Commerce
import Foundation

/// `firstcome verify`: checks a list of a campaign's wins, and a winner's receipt.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Checks a list of a campaign's wins, or a winner's receipt, by their hashes. Needs neither the store nor Redis.",
        discussion: """
            The list is what GET /api/v1/coupons/{couponId}/issued.csv or .../chain.csv answers. Each hash in it is computed anew from its \
            row and the hash before it. Where all are right, the last hash is printed: compare it with the one that the campaign shows, or \
            give hashes that you noted during the sale as --head.

            A receipt is the JSON of a coupon as its winner reads it. With a list too, the receipt must be the row of its sequence.

            Exits with 1 when something is wrong, and names the line.
            """)

    @Argument(help: "The list, as a file; - for standard input.", completion: .file(extensions: ["csv"]))
    var list: String?

    @Option(help: "A hash that must be in the list. May be given several times.")
    var head: [String] = []

    @Option(help: "A file with the JSON of a coupon whose receipt is checked.", completion: .file())
    var receipt: String?

    func validate() throws {
        if list == nil, receipt == nil { throw ValidationError("name a list of wins, or a receipt with --receipt.") }
        if list == nil, !head.isEmpty { throw ValidationError("--head needs a list to look in.") }
        for text in head where ChainHash(text) == nil { throw ValidationError("--head \(text): a hash has 64 hexadecimal digits.") }
    }

    func run() throws {
        let receipt = try receipt.map { try ReceiptCheck(json: Array(try Data(contentsOf: URL(filePath: $0)))) }
        if let receipt {
            print("receipt: coupon \(receipt.coupon), sequence \(receipt.sequence), issued at \(receipt.issuedAt): its hash is right")
        }
        guard let list else { return }
        let heads = head.compactMap { ChainHash($0) }
        var check = WinListCheck(lookingFor: Set(heads), place: receipt?.sequence)
        try LineReader(path: list).forEach { line throws(CommandError) in try check.check(line) }
        let finding = try check.finding()
        guard let coupon = finding.coupon else {
            print("the list has no wins")
            if !heads.isEmpty || receipt != nil { throw ExitCode(1) }
            return
        }
        print("coupon \(coupon): the hashes of \(finding.head.count) wins are right")
        if finding.unsealed > 0 { print("\(finding.unsealed) wins at the end have no hash yet") }
        print("head: sequence \(finding.head.sequence), \(finding.head.previous(in: coupon))")
        for hash in heads {
            guard let sequence = finding.found[hash] else {
                throw CommandError("the hash \(hash) is not in the list: wins were changed or dropped since it was noted")
            }
            print("the hash \(hash) is that of sequence \(sequence)")
        }
        guard let receipt else { return }
        guard receipt.coupon == coupon else { throw CommandError("the receipt is of coupon \(receipt.coupon)") }
        guard let row = check.row, row.hash == receipt.hash, row.userHash == receipt.userHash else {
            throw CommandError("the list has another win, or none, with sequence \(receipt.sequence)")
        }
        print("the receipt is the win with sequence \(receipt.sequence)")
    }
}

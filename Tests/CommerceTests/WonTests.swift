import Commerce
import TestSupport
import Testing

@Suite("Won")
struct WonTests {
    @Test(
        "a sum is exact, or nil where it leaves Int64",
        arguments: [
            (0, 0, 0), (1, -1, 0), (.max, 0, .max), (.max, 1, nil), (.max, .max, nil), (.min, 0, .min), (.min, -1, nil), (.min, .max, -1),
            (.max - 1, 1, .max),
        ] as [(Int64, Int64, Int64?)])
    func sums(left: Int64, right: Int64, sum: Int64?) {
        #expect(Won(left).adding(Won(right))?.rawValue == sum)
        #expect(Won(right).adding(Won(left))?.rawValue == sum)
    }

    @Test(
        "a difference is exact, or nil where it leaves Int64",
        arguments: [
            (0, 0, 0), (0, .max, -.max), (0, .min, nil), (-1, .min, .max), (.min, 1, nil), (.min, 0, .min), (.max, -1, nil), (5, 7, -2),
        ] as [(Int64, Int64, Int64?)])
    func differences(left: Int64, right: Int64, difference: Int64?) {
        #expect(Won(left).subtracting(Won(right))?.rawValue == difference)
    }

    @Test(
        "a price times a quantity is exact, or nil where it leaves Int64",
        arguments: [
            (0, .max, 0), (1, .max, .max), (2, .max, nil), (.max, 2, nil), (3_037_000_499, 3_037_000_499, 9_223_372_030_926_249_001),
            (3_037_000_500, 3_037_000_500, nil), (.min, -1, nil), (.min, 1, .min), (-3, 4, -12),
        ] as [(Int64, Int64, Int64?)])
    func products(price: Int64, quantity: Int64, product: Int64?) {
        #expect(Won(price).multiplied(by: quantity)?.rawValue == product)
    }

    @Test(
        "a share is rounded down to a won",
        arguments: [
            (999, 1, 3, 333), (1000, 1, 3, 333), (1001, 2, 3, 667), (1, 99, 100, 0), (1, 100, 100, 1), (0, 1, 1, 0), (10, 0, 7, 0),
            (.max, .max, .max, .max), (.max, 1, .max, 1), (.max, .max - 1, .max, .max - 1), (.max, 99, 100, 9_131_138_316_486_228_048),
        ] as [(Int64, Int64, Int64, Int64)])
    func shares(amount: Int64, part: Int64, whole: Int64, share: Int64) {
        #expect(Won(amount).share(part, of: whole).rawValue == share)
    }

    @Test("a share agrees with long division, also where the product needs 128 bits")
    func sharesAgainstLongDivision() {
        var random = SeededGenerator()
        for _ in 0..<5_000 {
            // Every size of number is as likely as any other.
            let amount = Int64.random(in: 0 ... .max, using: &random) >> Int64.random(in: 0...62, using: &random)
            let whole = max(1, Int64.random(in: 1 ... .max, using: &random) >> Int64.random(in: 0...62, using: &random))
            let part = Int64.random(in: 0...whole, using: &random)
            #expect(
                Won(amount).share(part, of: whole).rawValue == longDivision(amount, part, whole), "\(random): \(amount) \(part) \(whole)")
        }
    }

    /// `amount * part / whole` bit by bit: the quotient's bits come from doubling a remainder that always stays below `whole`.
    private func longDivision(_ amount: Int64, _ part: Int64, _ whole: Int64) -> Int64 {
        let divisor = UInt64(whole)
        var (quotient, remainder): (UInt64, UInt64) = (0, 0)
        for bit in (0..<63).reversed() {
            // (quotient, remainder) stands for the bits of `amount` above this one, times `part`.
            quotient = 2 * quotient + (remainder >= divisor - remainder ? 1 : 0)
            remainder = remainder >= divisor - remainder ? remainder - (divisor - remainder) : 2 * remainder
            guard amount >> Int64(bit) & 1 == 1 else { continue }
            let addend = UInt64(part) % divisor
            quotient += UInt64(part) / divisor + (remainder >= divisor - addend ? 1 : 0)
            remainder = remainder >= divisor - addend ? remainder - (divisor - addend) : remainder + addend
        }
        return Int64(quotient)
    }
}

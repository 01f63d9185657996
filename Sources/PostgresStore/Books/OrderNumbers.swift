import Commerce
import Store

/// Numbers of orders that an instance has taken in blocks: unique among all instances, without a gap within a block.
///
/// An order of another instance may have a smaller number although it was placed later.
struct OrderNumbers {
    /// How many numbers an instance takes at once. A group has at most 256 jobs, so that one block is always enough.
    static let blockSize: Int64 = 1_000

    private var blocks: [BusinessDay: ClosedRange<Int64>] = [:]

    /// Whether the day has so many numbers left.
    func has(_ count: Int, of day: BusinessDay) -> Bool { blocks[day].map { $0.count >= count } ?? false }

    /// Takes a block, which ends with `last`. Blocks of days long past are forgotten; what was left of the day's block is lost.
    mutating func add(_ size: Int64, endingWith last: Int64, of day: BusinessDay) {
        blocks = blocks.filter { $0.key.number >= day.number - 2 }
        if let old = blocks[day], old.upperBound == last - size {
            blocks[day] = old.lowerBound...last
        } else {
            blocks[day] = (last - size + 1)...last
        }
    }

    mutating func next(of day: BusinessDay) throws -> OrderNumber {
        guard let block = blocks[day] else { throw RowTable<OrderRow>.miss("an order number of \(day)") }
        blocks[day] = block.lowerBound == block.upperBound ? nil : (block.lowerBound + 1)...block.upperBound
        return OrderNumber(day: day, counter: block.lowerBound)
    }
}

/// A part of a product's name in the search index: one character, or two adjacent ones.
///
/// A character is a Unicode scalar of the folded name, see ``ProductName/folded(_:)``. A Hangul syllable is one character.
struct NamePart: Hashable, Comparable {
    /// The two scalars, 21 bits each; the upper one is 0 for a single character.
    let rawValue: Int64

    init(_ scalar: Unicode.Scalar) {
        rawValue = Int64(scalar.value)
    }

    init(_ first: Unicode.Scalar, _ second: Unicode.Scalar) {
        rawValue = Int64(first.value) << Self.scalarBits | Int64(second.value)
    }

    /// Bits of a Unicode scalar.
    private static let scalarBits: Int64 = 21
    static let bits = 2 * scalarBits

    static func < (left: NamePart, right: NamePart) -> Bool { left.rawValue < right.rawValue }

    /// Every part of a folded name.
    static func all(of folded: String) -> Set<NamePart> {
        var parts: Set<NamePart> = []
        parts.reserveCapacity(2 * folded.utf8.count)
        var previous: Unicode.Scalar?
        for scalar in folded.unicodeScalars {
            parts.insert(NamePart(scalar))
            if let previous { parts.insert(NamePart(previous, scalar)) }
            previous = scalar
        }
        return parts
    }

    /// Parts that every name containing this folded text has: a text of one or two characters itself, otherwise pairs from all over it.
    static func needed(toFind text: String) -> [NamePart] {
        let scalars = Array(text.unicodeScalars)
        guard scalars.count > 1 else { return scalars.map { NamePart($0) } }
        let pairs = Set(zip(scalars, scalars.dropFirst()).map { NamePart($0, $1) }).sorted()
        guard pairs.count > mostNeeded else { return pairs }
        return (0..<mostNeeded).map { pairs[$0 * pairs.count / mostNeeded] }
    }

    /// The most pairs to read. Hardly any name has this many without the text, so reading more would cost more than it saves.
    private static let mostNeeded = 12
}

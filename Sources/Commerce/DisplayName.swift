/// The rule for the names of users, products and coupons; `openapi.json` has it as a pattern.
///
/// Characters that this Unicode version does not know are taken: a newer phone may know them.
package enum DisplayName {
    /// Unicode code points, as JSON Schema's `maxLength` counts them.
    package static let lengths = 1...200

    /// Why a name is refused, in words for a problem's `reason`; `nil` for a valid one.
    package static func fault(in name: String) -> String? {
        // The bytes are counted first, in constant time: a scalar has at most four.
        guard name.utf8.count <= lengths.upperBound * 4, lengths.contains(name.unicodeScalars.count) else {
            return "must have 1 to 200 characters"
        }
        for scalar in name.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator:
                return "must not contain control characters"
            default:
                continue
            }
        }
        return name.unicodeScalars.allSatisfy(\.properties.isWhitespace) ? "must not be blank" : nil
    }
}

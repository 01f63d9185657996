import Commerce
import HTTPServer
import NIOCore
import NIOEmbedded
import Testing

@testable import API

@Suite("Query parameters")
struct QueryTests {
    private func read<Value>(_ query: String, _ read: (inout QueryReader) -> Value) throws(RequestFault) -> Value {
        let request = HTTPRequest(method: .get, path: "/", query: query, eventLoop: EmbeddedEventLoop())
        return try QueryReader.decode(request, read)
    }

    private func faults(_ query: String, _ read: (inout QueryReader) -> some Any) -> [String] {
        do throws(RequestFault) {
            _ = try self.read(query, read)
            return []
        } catch {
            return [error.problem.code.rawValue] + error.problem.faults.map(\.field)
        }
    }

    @Test("a list without parameters is the first page of 20")
    func defaults() throws {
        #expect(try read("") { $0.page() } == PageRequest(limit: 20, cursor: nil))
        #expect(try read("limit=100&cursor=abc") { $0.page() } == PageRequest(limit: 100, cursor: "abc"))
        #expect(try read("LIMIT=0&other=%20&sort") { $0.page() } == PageRequest())
    }

    @Test("a bad limit is refused", arguments: ["", "0", "101", "-1", "1.0", "1e1", "%2B5", "+5", " 5", "x", "9223372036854775808", "٥"])
    func limit(value: String) {
        #expect(faults("limit=\(value)") { $0.page() } == ["INVALID_REQUEST", "limit"])
    }

    @Test("a parameter given twice is refused, whatever its values")
    func twice() {
        #expect(faults("limit=5&limit=5") { $0.page() } == ["INVALID_REQUEST", "limit"])
        #expect(faults("cursor=a&x=1&cursor=a") { $0.page() } == ["INVALID_REQUEST", "cursor"])
        #expect(faults("other=1&other=2") { $0.page() } == [])
    }

    @Test("an empty cursor and malformed escapes are refused")
    func malformed() {
        #expect(faults("cursor=") { $0.page() } == ["INVALID_REQUEST", "cursor"])
        #expect(faults("cursor=%zz") { $0.page() } == ["INVALID_REQUEST"])
        #expect(faults("q=%ff") { ProductFilter(&$0) } == ["INVALID_REQUEST"])
    }

    @Test(
        "a query reads as its decoded parameters, or as malformed wherever the fault is",
        arguments: [
            ("cursor=a", "a"), ("cursor=a%3D%26b", "a=&b"), ("cursor=a=b", "a=b"), ("&&cursor=a&", "a"), ("cursor=%EC%BF%A0+x%2B", "쿠 x+"),
            ("%63ursor=a", "a"), ("cursor=%c3%A9", "é"), ("=b&cursor=a", "a"), ("cursor", ""), ("cursor=%00", "\0"), ("x", nil), ("", nil),
            ("cursor=a&x=%", "malformed"), ("%=1&cursor=a", "malformed"), ("x=%4&cursor=a", "malformed"), ("x=%GG", "malformed"),
            ("x=%FF", "malformed"), ("cursor=a&x=%C3", "malformed"), ("x=%C3&y=%A9", "malformed"), ("%ff=1", "malformed"),
        ] as [(String, String?)])
    func decoding(query: String, expected: String?) throws {
        do throws(RequestFault) {
            let cursor = try read(query) { $0.page() }.cursor
            #expect(cursor == expected)
        } catch {
            let detail = error.problem.detail
            let isExpected = expected == "malformed" ? detail.contains("percent-encoded") : expected == "" && detail.contains("fields")
            #expect(isExpected, "\(detail)")
        }
    }

    @Test("a query may have 64 parameters; of one more the answer says so, and nothing behind it is read")
    func tooManyParameters() throws {
        let most = Array(repeating: "a", count: 63).joined(separator: "&&")
        #expect(try read("&\(most)&limit=7&") { $0.page() } == PageRequest(limit: 7))
        for query in ["\(most)&limit=7&b", "\(most)&limit=7&%", most + String(repeating: "&x=1", count: 4_000)] {
            let error = #expect(throws: RequestFault.self) { try read(query) { $0.page() } }
            #expect(error?.problem.code == .invalidRequest && error?.problem.detail.contains("64 parameters") == true)
        }
    }

    @Test("every product filter is understood")
    func productFilter() throws {
        let filter = try read("q=%EA%B0%90%EA%B7%A4+3kg&minPrice=0&maxPrice=9223372036854775807&inStock=true&sort=-price") {
            ProductFilter(&$0)
        }
        let expected = ProductFilter(
            nameContains: "감귤 3kg", minPrice: .zero, maxPrice: Won(Int64.max), inStockOnly: true, sort: .priceDescending)
        #expect(filter == expected)
        #expect(try read("q=&inStock=false&sort=price") { ProductFilter(&$0) } == ProductFilter(sort: .priceAscending))
    }

    @Test(
        "a bad product filter is refused by its name",
        arguments: [
            ("minPrice=-1", "minPrice"), ("minPrice=", "minPrice"), ("maxPrice=9223372036854775808", "maxPrice"),
            ("maxPrice=1.5", "maxPrice"),
            ("inStock=1", "inStock"), ("inStock=TRUE", "inStock"), ("inStock=", "inStock"), ("sort=Price", "sort"), ("sort=", "sort"),
            ("q=a%00b", "q"), ("q=%20", "q"), ("q=" + String(repeating: "a", count: 201), "q"), ("q=a&q=b", "q"),
        ])
    func badFilter(query: String, field: String) {
        #expect(faults(query) { ProductFilter(&$0) } == ["INVALID_REQUEST", field])
    }

    @Test("all bad parameters are named together")
    func together() {
        #expect(faults("limit=0&inStock=x&sort=y") { (ProductFilter(&$0), $0.page()) } == ["INVALID_REQUEST", "inStock", "sort", "limit"])
    }

    @Test("states and statuses are the words of the API document")
    func choices() throws {
        for status in IssuedCoupon.Status.allCases {
            #expect(try read("status=\(status.rawValue)") { $0.choice("status", of: IssuedCoupon.Status.self) } == status)
        }
        #expect(faults("status=issued") { $0.choice("status", of: IssuedCoupon.Status.self) } == ["INVALID_REQUEST", "status"])
        #expect(try read("state=parked") { $0.choice("state", of: EventState.self) } == .parked)
        #expect(faults("state=PARKED") { $0.choice("state", of: EventState.self) } == ["INVALID_REQUEST", "state"])
    }
}

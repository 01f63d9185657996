/// The status codes that are counted, each at a fixed place, so that counting one needs no search.
enum AnswerCode {
    /// The codes in the order of their places. Every code of a handler's answers is listed; a test compares.
    static let all = [
        200, 201, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 417, 421, 422, 429, 431, 500, 501, 503,
    ]

    /// The place of codes that are not listed.
    static let others = 23
    static let places = 24

    static func place(of status: Int) -> Int {
        switch status {
        case 200: 0
        case 201: 1
        case 204: 2
        case 304: 3
        case 400: 4
        case 401: 5
        case 403: 6
        case 404: 7
        case 405: 8
        case 406: 9
        case 408: 10
        case 409: 11
        case 412: 12
        case 413: 13
        case 415: 14
        case 417: 15
        case 421: 16
        case 422: 17
        case 429: 18
        case 431: 19
        case 500: 20
        case 501: 21
        case 503: 22
        default: others
        }
    }

    /// How a place is written in the label `code`.
    static func label(_ place: Int) -> String { place < all.count ? String(all[place]) : "other" }
}

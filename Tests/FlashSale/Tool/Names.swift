/// The people and products of the sale.
enum Names {
    private static let surnames = ["김", "이", "박", "최", "정", "강", "조", "윤", "장", "임"]
    private static let givenNames = ["민준", "서연", "도윤", "지우", "하준", "서윤", "예준", "지민", "수아", "현우", "하은", "지호"]

    static func person(_ index: Int) -> String {
        surnames[index * 7 % surnames.count] + givenNames[index / 3 % givenNames.count]
    }

    static let products: [(name: String, price: Int64)] = [
        ("제주 감귤 5kg", 19_900), ("무선 이어폰", 89_000), ("보온 텀블러 500ml", 24_500), ("순면 반팔 티셔츠", 15_900),
        ("한우 불고기 600g", 42_000), ("캠핑 의자", 39_900), ("기계식 키보드", 129_000), ("수분 크림 50ml", 27_800),
        ("강아지 사료 2kg", 33_000), ("김치 3kg", 28_900), ("요가 매트", 21_000), ("블루투스 스피커", 64_900),
    ]

    static let coupon = "선착순 100명 5,000원 쿠폰"
}

/// The Lua scripts of this folder, embedded in the binary: there is no second copy of their text.
package enum LuaScripts {
    package static let adjustCoupon = text(PackageResources.adjust_coupon_lua)
    package static let admitStore = text(PackageResources.admit_store_lua)
    package static let appendEvents = text(PackageResources.append_events_lua)
    package static let archiveCoupon = text(PackageResources.archive_coupon_lua)
    package static let claimCoupon = text(PackageResources.claim_coupon_lua)
    package static let loadClaims = text(PackageResources.load_claims_lua)
    package static let loadCoupon = text(PackageResources.load_coupon_lua)
    package static let openCoupon = text(PackageResources.open_coupon_lua)
    package static let rankProducts = text(PackageResources.rank_products_lua)
    package static let recordSales = text(PackageResources.record_sales_lua)
    package static let recordViews = text(PackageResources.record_views_lua)
    package static let swapSales = text(PackageResources.swap_sales_lua)
    package static let takeTokens = text(PackageResources.take_tokens_lua)

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// The rows of the table by name.
package enum Row: String, Codable, Sendable, Hashable, CaseIterable {
    case claimSoldOut = "claim, sold out"
    case claimSoldOutOnce = "claim, sold out, everybody once"
    case claimSoldOutTwoLoops = "claim, sold out, 2 loops"
    case claimAlready = "claim, already claimed"
    case claimWins = "claim that wins"
    case claimWinsBefore = "claim that wins, earlier build"
    case claimWinsAlone = "claim that wins, one client"
    case claimWinsAloneBefore = "claim that wins, one client, earlier build"
    case webdisSoldOut = "webdis, sold out"
    case webdisAlready = "webdis, already claimed"
    case webdisWins = "webdis, wins"
    case redisSoldOut = "redis-benchmark, sold out"
    case redisSoldOutPipelined = "redis-benchmark -P 16, sold out"
    case redisAlready = "redis-benchmark, already claimed"
    case redisAlreadyPipelined = "redis-benchmark -P 16, already claimed"
    case redisWins = "redis-benchmark, wins"
    case redisWinsPipelined = "redis-benchmark -P 16, wins"

    case nginxClaim = "nginx return 200 to a claim"
    case bareChannel = "bare channel"

    case top = "GET top"
    case product = "GET product"
    case balance = "GET balance"
    case nginx = "nginx return 200"
    case bareServer = "bare SwiftNIO + NIOHTTP1"

    case order = "order"
    case payment = "payment"
    case checkout = "checkout"
    case charge = "charge"
    case postgresOrder16 = "PostgreSQL order, 16 clients"
    case postgresOrder64 = "PostgreSQL order, 64 clients"
    case postgresPayment16 = "PostgreSQL payment, 16 clients"
    case postgresPayment64 = "PostgreSQL payment, 64 clients"
    case postgresCheckout16 = "PostgreSQL checkout, 16 clients"
    case postgresCheckout64 = "PostgreSQL checkout, 64 clients"
    case postgresCharge16 = "PostgreSQL charge, 16 clients"
    case postgresCharge64 = "PostgreSQL charge, 64 clients"

    case storePayment = "payment, store on PostgreSQL"
    case storeHotPayment = "payment of one product, store on PostgreSQL"
    case storeWins = "wins of one campaign, store on PostgreSQL"
    case pgbenchPayment1 = "pgbench payment on the store's rows, 1 client"
    case pgbenchPayment16 = "pgbench payment on the store's rows, 16 clients"
    case pgbenchPayment64 = "pgbench payment on the store's rows, 64 clients"
    case pgbenchWins1 = "pgbench wins on the store's rows, 1 client"
    case pgbenchWins16 = "pgbench wins on the store's rows, 16 clients"
    case pgbenchWins64 = "pgbench wins on the store's rows, 64 clients"

    case onePayment = "payment, one service"
    case threePayments = "payment, 3 services"
    case oneRefused = "refused claim, one service"
    case threeRefused = "refused claim, 3 services"
    case oneWins = "wins of 12 campaigns, one service"
    case threeWins = "wins of 12 campaigns, 3 services"

    /// Whether this is another program, or an earlier build of the service.
    var isPeer: Bool {
        switch self {
        case .claimSoldOut, .claimSoldOutOnce, .claimSoldOutTwoLoops, .claimAlready, .claimWins, .claimWinsAlone, .top, .product,
            .balance, .order, .payment, .checkout, .charge, .storePayment, .storeHotPayment, .storeWins, .onePayment, .threePayments,
            .oneRefused, .threeRefused,
            .oneWins, .threeWins:
            false
        case .claimWinsBefore, .claimWinsAloneBefore, .webdisSoldOut, .webdisAlready, .webdisWins, .redisSoldOut, .redisSoldOutPipelined,
            .redisAlready, .redisAlreadyPipelined, .redisWins, .redisWinsPipelined, .nginxClaim, .bareChannel, .nginx, .bareServer,
            .postgresOrder16, .postgresOrder64, .postgresPayment16, .postgresPayment64, .postgresCheckout16, .postgresCheckout64,
            .postgresCharge16, .postgresCharge64, .pgbenchPayment1, .pgbenchPayment16, .pgbenchPayment64, .pgbenchWins1, .pgbenchWins16,
            .pgbenchWins64:
            true
        }
    }
}

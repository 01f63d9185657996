import Commerce
import HTTPServer
import Services
import Store

/// The handlers of `/products`.
enum Products {
    static let create: Route.Handler = { call in
        .task {
            let product = try call.body { NewProduct(&$0) }
            return try await call.answer(.created { json, value, _ in json.write(value) }) { idempotency in
                try await call.store.createProduct(
                    name: product.name, price: product.price, stock: product.stock, at: call.now, idempotency: idempotency,
                    context: call.loop.context)
            }
        }
    }

    static let update: Route.Handler = { call in
        .task {
            let id = try call.id("productId", of: Product.self)
            let change = try call.body { ProductChange(&$0) }
            switch try await call.store.updateProduct(id, change, context: call.loop.context) {
            case .done(let product): return .object(.open) { $0.write(product) }
            case .refused(let refusal): return call.refusal(refusal)
            }
        }
    }

    static let list: Route.Handler = { call in
        .cancellableTask {
            let (filter, request) = try call.query { (ProductFilter(&$0), $0.page()) }
            let page = try await call.store.products(filter, page: request)
            return .page(page, .open) { $0.write($1) }
        }
    }

    /// Counts a view, except for HEAD: nobody has seen anything.
    static let get: Route.Handler = { call in
        try .atOnce {
            let id = try call.id("productId", of: Product.self)
            let answer = try call.loop.product(id) {
                try call.reader.product(id).map { product in .object(.open) { $0.write(product) } }
            }
            guard let answer else { return call.refusal(.productNotFound(id)) }
            if call.request.method == .get { call.services.views.count(id) }
            return answer
        }
    }

    static let top: Route.Handler = { call in
        .now(call.loop.topProducts(call.services.ranking.top))
    }
}

extension ProductChange {
    /// The body of PATCH `/products/{productId}`.
    init(_ fields: inout FieldReader) {
        self.init(
            name: fields.optionalDisplayName("name"), price: fields.optionalWon("price", in: Bounds.price),
            stock: fields.optionalInteger("stock", in: Bounds.stock))
    }
}

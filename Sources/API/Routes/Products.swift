import Commerce
import HTTPServer
import JSON
import NIOCore
import Services
import Store

/// The handlers of `/products`.
enum Products {
    static let create: Route.IdentityHandler = { call, admin in
        .task {
            let product = try call.body { NewProduct(&$0) }
            return try await call.answer(
                .created { json, value, _ in json.write(value) }, log: call.adminLog(of: admin, AdminActions.createdProduct)
            ) { context in
                try await call.store.createProduct(
                    name: product.name, price: product.price, stock: product.stock, in: context)
            }
        }
    }

    static let update: Route.IdentityHandler = { call, admin in
        .task {
            let id = try call.id("productId", of: Product.self)
            let change = try call.change(from: ProductChange(), members: "name, price, stock or stockChange") { ProductChange(&$0) }
            let condition = try call.ifMatch().map { tags in
                { @Sendable (product: Product) in tags.matches(EntityTag(of: representation(product))) }
            }
            let log = call.adminLog(of: admin) { AdminActions.changedProduct($0, change) }
            switch try await call.store.updateProduct(id, change, onlyIf: condition, log: log, context: call.loop.context) {
            case .done(let product): return HTTPResponse.Representation(representation(product)).response
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

    /// Shows a product, and counts a view of it. HEAD counts none, because it shows nothing.
    static let get: Route.Handler = { call in
        let id = try call.id("productId", of: Product.self)
        switch call.loop.product(id) {
        case .valid(let answer): return .now(shown(answer, id, call))
        case .outdated(let stamp):
            return try call.show(call.reader.find(product: id, on: call.loop.context), (id, stamp)) { product, wanted, call in
                guard let product else { return call.refusal(.productNotFound(wanted.0)) }
                let answer = HTTPResponse.Representation(representation(product))
                call.loop.keep(answer, asProduct: product.id, wanted.1)
                return shown(answer, product.id, call)
            }
        }
    }

    private static func shown(_ answer: HTTPResponse.Representation, _ id: ProductID, _ call: Call) -> HTTPResponse {
        if call.request.method == .get { call.services.views.count(id) }
        return call.conditional(answer)
    }

    private static func representation(_ product: Product) -> ByteBuffer {
        JSONWriter.document { $0.write(product) }
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
            available: fields.optionalInteger("stock", in: Bounds.stock),
            stockChange: fields.optionalInteger("stockChange", in: -Bounds.stock.upperBound...Bounds.stock.upperBound))
        if available != nil, stockChange != nil { fields.refuse("stockChange", "excludes stock") }
    }
}

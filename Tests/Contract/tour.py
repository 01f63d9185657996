"""The tour of `firstcome demo`, and more, by a client that was generated from the document; every answer is compared with its type."""

import datetime
import hashlib
import os
import time

from client import AuthenticatedClient, Client
from client.api.admin_log import list_admin_log
from client.api.balance import charge_balance, get_balance, list_balance_history
from client.api.coupons import (
    claim_coupon, create_coupon, get_coupon, get_grant, grant_coupons, list_chain, list_coupons, list_grants, list_issued_coupons,
    list_winners, update_coupon,
)
from client.api.events import list_events, retry_event, retry_events
from client.api.operations import (
    get_api_document, get_console, get_console_icon, get_console_script, get_console_style, get_documentation_page, get_health,
    get_metrics, get_readiness,
)
from client.api.orders import cancel_order, checkout, get_order, list_orders, place_order
from client.api.payments import get_payment, pay_order, refund_payment
from client.api.products import create_product, get_product, get_top_products, list_products, update_product
from client.api.users import create_user, get_user
from client.models import (
    Balance, BalanceEntryKind, Charge, Checkout, Coupon, CouponChange, CouponStatus, EventRetries, EventState, FixedDiscount,
    Grant, GrantState, IssuedCoupon, IssuedCouponStatus, ListIssuedCouponsStatus, ListProductsSort, NewCharge, NewCoupon, NewGrant,
    NewOrder, NewPayment, NewProduct, NewRefund, NewUser, Order, OrderStatus, Payment, PercentDiscount, Problem, ProblemCode, Product,
    ProductChange, Refund, RequestedItem, StatusStatus, TopProducts, User,
)

url = os.environ["FIRSTCOME_URL"]
admin = AuthenticatedClient(base_url=url, token=os.environ["FIRSTCOME_ADMIN"])
user = AuthenticatedClient(base_url=url, token=os.environ["FIRSTCOME_USER"])
anybody = Client(base_url=url)


def expect(kind, answer):
    """The typed answer, which must be of this kind."""
    assert isinstance(answer, kind), f"expected {kind.__name__}, got {answer!r}"
    return answer


def refused(code, answer):
    problem = expect(Problem, answer)
    assert problem.code is code, f"expected {code}, got {problem!r}"
    return problem


def same(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def as_printed_by_demo():
    """What `firstcome demo` prints, line by line."""
    charge = expect(Charge, charge_balance.sync(
        1, client=user, body=NewCharge(amount=100_000), idempotency_key="tour-1"))
    same((charge.user_id, charge.amount, charge.balance), (1, 100_000, 100_000))
    again = charge_balance.sync_detailed(1, client=user, body=NewCharge(amount=100_000), idempotency_key="tour-1")
    same((again.parsed, again.headers["idempotent-replayed"]), (charge, "true"))

    claimed = expect(IssuedCoupon, claim_coupon.sync(1, client=user))
    same((claimed.user_id, claimed.coupon_id, claimed.sequence, claimed.status), (1, 1, 1, IssuedCouponStatus.ISSUED))
    same(expect(FixedDiscount, claimed.discount).amount, 5_000)
    held = refused(ProblemCode.COUPON_ALREADY_CLAIMED, claim_coupon.sync(1, client=user)).issued_coupon
    same(expect(IssuedCoupon, held).code, claimed.code)

    placed = expect(Order, place_order.sync(client=user, body=NewOrder(
        items=[RequestedItem(product_id=1, quantity=2)], issued_coupon_id=claimed.issued_coupon_id)))
    same((placed.status, placed.total_amount, placed.discount_amount, placed.final_amount), (OrderStatus.PENDING, 39_800, 5_000, 34_800))
    payment = expect(Payment, pay_order.sync(client=user, body=NewPayment(order_id=placed.order_id)))
    same((payment.amount, payment.balance, payment.order_number), (34_800, 65_200, placed.order_number))

    top = expect(TopProducts, get_top_products.sync(client=anybody))
    assert 1 <= len(top.items) <= 5 and [item.rank for item in top.items] == list(range(1, len(top.items) + 1)), top
    same(top.window.to - top.window.from_, datetime.timedelta(days=2))
    history = list_balance_history.sync(1, client=user).items
    same([(entry.kind, entry.amount) for entry in history],
         [(BalanceEntryKind.PAYMENT, -34_800), (BalanceEntryKind.CHARGE, 100_000)])

    opened = expect(Coupon, create_coupon.sync(client=admin, body=NewCoupon(
        name="번개 쿠폰", discount=PercentDiscount(type_="PERCENT", percent=10, max_amount=5_000), quantity=50)))
    same((opened.name, opened.status, opened.remaining), ("번개 쿠폰", CouponStatus.OPEN, 50))
    return payment


def as_an_operator(payment):
    """A product and a user are made, sold to, and refunded."""
    person = expect(User, create_user.sync(client=admin, body=NewUser(name="김하늘")))
    same(expect(User, get_user.sync(person.user_id, client=admin)), person)
    same(expect(Balance, get_balance.sync(person.user_id, client=admin)).updated_at, None)

    product = expect(Product, create_product.sync(client=admin, body=NewProduct(name="제주 감귤 3kg", price=14_500, stock=3)))
    read = get_product.sync_detailed(product.product_id, client=anybody)
    same(expect(Product, read.parsed), product)
    same(get_product.sync_detailed(product.product_id, client=anybody, if_none_match=read.headers["etag"]).status_code, 304)
    changed = expect(Product, update_product.sync(
        product.product_id, client=admin, body=ProductChange(price=13_900), if_match=read.headers["etag"]))
    same((changed.price, changed.stock), (13_900, 3))
    refused(ProblemCode.PRECONDITION_FAILED, update_product.sync(
        product.product_id, client=admin, body=ProductChange(stock_change=-1), if_match=read.headers["etag"]))
    refused(ProblemCode.INVALID_REQUEST, update_product.sync(product.product_id, client=admin, body=ProductChange()))

    refund = expect(Refund, refund_payment.sync(payment.payment_id, client=admin, body=NewRefund(
        items=[RequestedItem(product_id=1, quantity=1)])))
    same((refund.amount, refund.refunded_amount), (17_400, 17_400))
    same(expect(Payment, get_payment.sync(payment.payment_id, client=user)).refunded_amount, 17_400)

    campaign = expect(Coupon, create_coupon.sync(client=admin, body=NewCoupon(
        name="겨울맞이", discount=FixedDiscount(type_="FIXED", amount=3_000), quantity=2, min_order_amount=10_000,
        opens_at=datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc))))
    same((campaign.status, campaign.opens_at.year), (CouponStatus.SCHEDULED, 2099))
    too_early = refused(ProblemCode.COUPON_NOT_OPEN, claim_coupon.sync(campaign.coupon_id, client=user))
    same(too_early.opens_at, campaign.opens_at)
    now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    same(expect(Coupon, update_coupon.sync(campaign.coupon_id, client=admin, body=CouponChange(opens_at=now))).status, CouponStatus.OPEN)
    same(expect(Coupon, get_coupon.sync(campaign.coupon_id, client=anybody)).coupon_id, campaign.coupon_id)
    return product


def as_a_customer(product):
    """Lists, an order that is cancelled, a checkout, and refusals that say why."""
    pages, cursor = [], None
    while cursor is not None or not pages:
        arguments = {"cursor": cursor} if cursor else {}
        page = list_products.sync(client=anybody, limit=5, sort=ListProductsSort.PRICE, **arguments)
        pages.append(page.items)
        cursor = page.next_cursor
    prices = [item.price for items in pages for item in items]
    assert len(pages) > 1 and prices == sorted(prices), prices
    assert any(coupon.coupon_id == 1 for coupon in list_coupons.sync(client=anybody).items)

    one = NewOrder(items=[RequestedItem(product_id=product.product_id, quantity=1)])
    placed = expect(Order, place_order.sync(client=user, body=one))
    same(expect(Order, cancel_order.sync(placed.order_id, client=user)).status, OrderStatus.CANCELLED)
    refused(ProblemCode.ORDER_NOT_PAYABLE, pay_order.sync(client=user, body=NewPayment(order_id=placed.order_id)))
    bought = expect(Checkout, checkout.sync(client=user, body=one))
    same((bought.order.status, bought.payment.amount), (OrderStatus.PAID, 13_900))
    same(expect(Order, get_order.sync(bought.order.order_id, client=user)), bought.order)
    assert bought.order.order_id in [order.order_id for order in list_orders.sync(1, client=user).items]
    used = list_issued_coupons.sync(1, client=user, status=ListIssuedCouponsStatus.USED).items
    same([coupon.coupon_id for coupon in used], [1])

    many = NewOrder(items=[RequestedItem(product_id=product.product_id, quantity=100)])
    short = refused(ProblemCode.OUT_OF_STOCK, place_order.sync(client=user, body=many))
    same((short.product_id, short.available), (product.product_id, 2))
    low = refused(ProblemCode.AMOUNT_OUT_OF_RANGE, charge_balance.sync(1, client=user, body=NewCharge(amount=1)))
    same((low.minimum, low.maximum), (1_000, 1_000_000))
    refused(ProblemCode.FORBIDDEN, get_user.sync(2, client=user))
    refused(ProblemCode.UNAUTHENTICATED, get_user.sync(1, client=anybody))


def eventually(read, is_enough):
    """What `read` gives once it is enough; it may take the service a moment."""
    deadline = time.monotonic() + 120
    while not is_enough(value := read()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.05)
    return value


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def as_those_who_give_and_prove():
    """A list of users gets coupons, the log says who gave them, and a winner checks the own place."""
    nobody = 9_007_199_254_740_991
    campaign = expect(Coupon, create_coupon.sync(client=admin, body=NewCoupon(
        name="단골 감사", discount=FixedDiscount(type_="FIXED", amount=1_000), quantity=2))).coupon_id
    first = expect(User, create_user.sync(client=admin, body=NewUser(name="이바다"))).user_id
    begun = expect(Grant, grant_coupons.sync(campaign, client=admin, body=NewGrant(user_ids=[first, 1, nobody])))
    same((begun.state, begun.total), (GrantState.RUNNING, 3))
    done = eventually(
        lambda: expect(Grant, get_grant.sync(campaign, begun.grant_id, client=admin)), lambda grant: grant.state is GrantState.DONE)
    same((done.processed, done.granted, done.unknown_users), (3, 2, 1))
    same(list_grants.sync(campaign, client=admin).items, [done])
    refused(ProblemCode.FORBIDDEN, grant_coupons.sync(campaign, client=user, body=NewGrant(user_ids=[1])))
    refused(ProblemCode.GRANT_NOT_FOUND, get_grant.sync(campaign, nobody, client=admin))

    logged = list_admin_log.sync(client=admin, object_=f"coupon:{campaign}").items
    assert len(logged) == 2 and logged[0].log_id > logged[1].log_id and logged[0].details.additional_properties, logged

    chain = eventually(lambda: get_coupon.sync(campaign, client=anybody).chain, lambda chain: chain.sequence == 2)
    own = next(coupon for coupon in list_issued_coupons.sync(1, client=user).items if coupon.coupon_id == campaign)
    receipt, issued_at = own.receipt, own.issued_at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{own.issued_at.microsecond // 1000:03}Z"
    same(receipt.user_hash, sha256(f"1:{receipt.nonce}"))
    same((own.sequence, receipt.hash_), (2, sha256(f"{receipt.previous_hash}:2:{receipt.user_hash}:{issued_at}")))
    same(receipt.hash_, chain.hash_)
    hashes, winners = list_chain.sync(campaign, client=anybody).decode(), list_winners.sync(campaign, client=admin).decode()
    assert receipt.hash_ in hashes and receipt.nonce not in hashes and receipt.nonce in winners, (hashes, winners)
    refused(ProblemCode.FORBIDDEN, list_winners.sync(campaign, client=user))


def as_those_who_run_it():
    """Health, metrics, events and the documents."""
    same(get_health.sync(client=anybody).status, StatusStatus.OK)
    same(get_readiness.sync(client=anybody).status, StatusStatus.READY)
    assert "firstcome_http_requests_total" in get_metrics.sync(client=anybody)
    events = list_events.sync(client=admin).items
    assert events and all(isinstance(event.state, EventState) for event in events), events
    same(expect(EventRetries, retry_events.sync(client=admin)).retried, 0)
    refused(ProblemCode.EVENT_NOT_FOUND, retry_event.sync(9_007_199_254_740_991, client=admin))
    same(get_api_document.sync(client=anybody).openapi, "3.1.0")
    page = get_documentation_page.sync_detailed(client=anybody)
    assert page.headers["content-type"].startswith("text/html") and "<h1>Firstcome" in page.parsed, page.headers
    assert "<html" in get_console.sync(client=anybody) and "<svg" in get_console_icon.sync(client=anybody)
    assert "/admin/live" in get_console_script.sync(client=anybody)
    assert "prefers-color-scheme" in get_console_style.sync(client=anybody)


payment = as_printed_by_demo()
product = as_an_operator(payment)
as_a_customer(product)
as_those_who_give_and_prove()
as_those_who_run_it()

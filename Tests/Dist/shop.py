"""A customer and an operator of a running service."""
import json
import urllib.error
import urllib.request


class Shop:
    def __init__(self, url, token):
        """token(*words) prints a token, as `firstcome token` does."""
        self.url = url
        self.user = token("--user", "1").strip()
        self.admin = token("--admin").strip()

    def call(self, method, path, body=None, token=None, key=None):
        """The status and the JSON of an answer; 0 where nothing answers."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, parsed(answer.read())
        except urllib.error.HTTPError as answer:
            return answer.code, parsed(answer.read())
        except OSError:
            return 0, None

    def is_ready(self):
        return self.call("GET", "/readyz")[0] == 200

    def must(self, status, method, path, body=None, key=None):
        answer = self.call(method, path, body, self.user, key)
        assert answer[0] == status, f"{method} {path} was answered {answer}, not {status}"
        return answer[1]

    def buy(self):
        """Charges, claims, orders with the coupon and pays; what the user then has."""
        self.must(201, "POST", "/api/v1/users/1/balance/charges", {"amount": 100_000}, "charge")
        claim = self.must(201, "POST", "/api/v1/coupons/1/claims", key="claim")
        product = self.must(200, "GET", "/api/v1/products?limit=1")["items"][0]["productId"]
        order = self.must(
            201, "POST", "/api/v1/orders",
            {"items": [{"productId": product, "quantity": 1}], "issuedCouponId": claim["issuedCouponId"]}, "order")
        self.must(201, "POST", "/api/v1/payments", {"orderId": order["orderId"]}, "payment")
        return self.belongings(order["orderId"])

    def belongings(self, order):
        balance = self.must(200, "GET", "/api/v1/users/1/balance")["balance"]
        status = self.must(200, "GET", f"/api/v1/orders/{order}")["status"]
        coupons = self.must(200, "GET", "/api/v1/users/1/coupons")["items"]
        return {"order": order, "status": status, "balance": balance, "coupons": [(c["couponId"], c["status"]) for c in coupons]}


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")

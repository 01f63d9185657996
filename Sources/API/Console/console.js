// The admin's console. It reads snapshots from GET /api/v1/admin/live, one each second, and acts through the public routes.
// Parts, in this order: texts, formats, the page's elements, the token, requests, the live stream, charts, what is shown, actions.

// ---- Texts

const texts = {
  en: {
    console: "Console", skip: "Skip to the content", openCampaign: "Open a campaign", leave: "Leave", dismiss: "Dismiss",
    gateTitle: "Sign in to the console", token: "Admin token", enter: "Enter",
    gateText: "The console shows sales as they happen and changes campaigns. It needs an admin's token.",
    tokenHint: "Kept in this tab only, until you leave or close it.",
    tokenMissing: "Paste a token.", tokenRefused: "The service refuses this token. It is wrong or has expired.",
    tokenEnded: "The service no longer accepts the token. Sign in again.",
    tokenOfUser: "This is not an admin's token.", unreachable: "The service does not answer. Try again.",
    connecting: "Connecting", live: "Live", stale: s => `Stale, ${s} s old`, waiting: s => `No connection, next attempt in ${s} s`,
    spokenStale: "The data is stale.", spokenWaiting: "The connection is lost. The numbers are old.", spokenLive: "Live again.",
    campaign: "Campaign", raise: "Raise quantity", edit: "Edit", noCampaign: "No campaign yet", noCampaignText: "Open a campaign to watch it here.",
    status: { SCHEDULED: "Scheduled", OPEN: "Open", SOLD_OUT: "Sold out", CLOSED: "Closed" },
    spokenStatus: (name, status) => `${name}: ${status}.`,
    remaining: "Remaining", ofQuantity: n => `of ${n}`, issued: "Issued", discount: "Discount", opensAt: "Opens", closesAt: "Closes", never: "Never",
    opensIn: "Opens in", closesIn: "Closes in", openFor: "Open for", soldOutFor: "Since it sold out", closedFor: "Since it closed",
    took: t => `Sold out in ${t}`, days: n => `${n} d `,
    chain: "Chain head", chainAt: n => `#${n}`,
    winners: "Latest winners", sequence: "No.", user: "User", time: "Time", noWinners: "Nobody has won yet.",
    claims: "Claims", wonRate: "Won per second", refusedRate: "Refused per second",
    payments: "Payments", paymentRate: "Payments per second", amountRate: "Amount per second",
    chartStart: "2 min ago", chartMax: n => `max ${n}`, chartNow: "now",
    top: "Best sellers of 3 days", noTop: "Nothing was sold in these days.", units: n => `${n} sold`, stock: n => `${n} in stock`,
    health: "Health", readiness: "Service", ready: "Ready", notReady: "Not ready", store: "Store", answers: "Answers", silent: "Does not answer",
    outboxLag: "Outbox lag", outboxWaiting: "Events waiting", outboxParked: "Events parked", parkedEvents: "Parked events",
    recovery: "Recovery", found: "Found and repaired", count: "Count", noRecovery: "Recovery has repaired nothing.",
    services: "Services", service: "Service", role: "Role", seen: "Seen", thisOne: "this one", duties: "Runs the duties", noDuties: "Serves requests",
    kinds: {
      gateMissing: "A gate was missing and was built", gateUnfinished: "An unfinished gate was taken over", gateDamaged: "A damaged gate was rebuilt",
      epochMoved: "A gate of another epoch was rebuilt", otherStore: "A gate of another store was rebuilt",
      gateContradicted: "A gate differed from the store and was rebuilt", termsChanged: "A gate was given the store's terms",
      claimUnwritten: "The row of a claim was written", rankingRebuilt: "The ranking was rebuilt", streamEventLost: "A lost event is sent again",
    },
    about: (version, zone) => `Firstcome ${version}. Times are in ${zone}.`,
    fixedOff: a => `${a} off`, percentOff: p => `${p} % off`, percentUpTo: (p, a) => `${p} % off, at most ${a}`,
    name: "Name", fixed: "Fixed amount", percent: "Percentage", amount: "Amount (won)", percentage: "Percent", maxAmount: "At most (won)",
    quantity: "Quantity", newQuantity: "New quantity", minOrderAmount: "Lowest order total (won)",
    opensAtField: "Opens at", closesAtField: "Closes at", opensAtHint: "Empty: now.", closesAtHint: "Empty: never.",
    validDays: "Valid for (days from issue)", restoreOnRefund: "A full refund gives the coupon back",
    open: "Open", cancel: "Cancel", close: "Close", save: "Save", raiseIt: "Raise", editTitle: "Edit the campaign",
    nowQuantity: (q, r) => `Now ${q}, of which ${r} remain.`,
    opened: n => `Campaign ${n} has been created.`, saved: n => `Campaign ${n} has been changed.`, raised: (n, q) => `Campaign ${n} now has ${q} coupons.`,
    changedMeanwhile: "The campaign was changed meanwhile. It has been loaded again: check it and send once more.",
    busy: "The sale is changing the campaign faster than it can be edited. Try again.",
    unchanged: "Nothing is changed.", failed: "The service could not do this. Try again.",
    needName: "Enter a name.", needInteger: (low, high) => `Enter a whole number from ${low} to ${high}.`, needAbove: n => `Enter a number above ${n}.`,
    needInstant: "Enter a date and a time.", needLater: "Must be after the opening.", alreadyIssued: n => `${n} coupons are issued already.`,
    parkedText: "Events that the data platform refused. A retry puts them back in the queue.", noEvents: "No event is parked.",
    retry: "Retry", retryAll: "Retry all", retryOne: n => `Retry event ${n}`, more: "Show more",
    event: (id, order) => `Event ${id}, order ${order}`, attempts: n => `${n} attempts`,
    eventTypes: { ORDER_PAID: "paid", ORDER_REFUNDED: "refunded" }, retried: n => `${n} events are queued again.`,
  },
  ko: {
    console: "콘솔", skip: "본문으로 건너뛰기", openCampaign: "캠페인 열기", leave: "나가기", dismiss: "닫기",
    gateTitle: "콘솔 로그인", token: "관리자 토큰", enter: "들어가기",
    gateText: "진행 중인 판매를 실시간으로 보고 캠페인을 관리합니다. 관리자 토큰이 필요합니다.",
    tokenHint: "토큰은 이 탭에만 보관되며, 나가거나 탭을 닫으면 지워집니다.",
    tokenMissing: "토큰을 붙여 넣으세요.", tokenRefused: "유효하지 않은 토큰입니다. 잘못되었거나 만료되었습니다.",
    tokenEnded: "토큰이 더 이상 유효하지 않습니다. 다시 로그인하세요.",
    tokenOfUser: "관리자 토큰이 아닙니다.", unreachable: "서비스가 응답하지 않습니다. 다시 시도하세요.",
    connecting: "연결 중", live: "실시간", stale: s => `${s}초 전 데이터`, waiting: s => `연결 끊김, ${s}초 뒤 재시도`,
    spokenStale: "데이터가 갱신되지 않고 있습니다.", spokenWaiting: "연결이 끊겼습니다. 표시된 값은 이전 값입니다.", spokenLive: "다시 연결되었습니다.",
    campaign: "캠페인", raise: "수량 늘리기", edit: "수정", noCampaign: "캠페인이 없습니다", noCampaignText: "캠페인을 열면 여기에 표시됩니다.",
    status: { SCHEDULED: "예정", OPEN: "진행 중", SOLD_OUT: "소진", CLOSED: "종료" },
    spokenStatus: (name, status) => `${name}: ${status}.`,
    remaining: "남은 수량", ofQuantity: n => `/ ${n}`, issued: "발급", discount: "할인", opensAt: "시작", closesAt: "종료", never: "없음",
    opensIn: "시작까지", closesIn: "종료까지", openFor: "진행 시간", soldOutFor: "소진 후 지난 시간", closedFor: "종료 후 지난 시간",
    took: t => `${t} 만에 소진`, days: n => `${n}일 `,
    chain: "체인 헤드", chainAt: n => `${n}번`,
    winners: "최근 발급", sequence: "순번", user: "사용자", time: "시각", noWinners: "아직 발급된 쿠폰이 없습니다.",
    claims: "쿠폰 신청", wonRate: "초당 발급", refusedRate: "초당 거절",
    payments: "결제", paymentRate: "초당 결제", amountRate: "초당 결제 금액",
    chartStart: "2분 전", chartMax: n => `최대 ${n}`, chartNow: "지금",
    top: "최근 3일 인기 상품", noTop: "이 기간에 판매된 상품이 없습니다.", units: n => `${n}개 판매`, stock: n => `재고 ${n}개`,
    health: "상태", readiness: "서비스", ready: "준비됨", notReady: "준비 안 됨", store: "저장소", answers: "정상", silent: "응답 없음",
    outboxLag: "아웃박스 지연", outboxWaiting: "대기 이벤트", outboxParked: "보류 이벤트", parkedEvents: "보류 이벤트",
    recovery: "복구 기록", found: "복구 내용", count: "건수", noRecovery: "복구한 내역이 없습니다.",
    services: "서비스 목록", service: "서비스", role: "역할", seen: "마지막 확인", thisOne: "현재 서비스", duties: "전담 작업 수행", noDuties: "요청 처리",
    kinds: {
      gateMissing: "없던 게이트를 만듦", gateUnfinished: "만들다 만 게이트를 이어받음", gateDamaged: "손상된 게이트를 다시 만듦",
      epochMoved: "에포크가 다른 게이트를 다시 만듦", otherStore: "다른 저장소의 게이트를 다시 만듦",
      gateContradicted: "저장소와 어긋난 게이트를 다시 만듦", termsChanged: "게이트의 조건을 저장소에 맞춤",
      claimUnwritten: "누락된 발급 행을 기록함", rankingRebuilt: "랭킹을 다시 만듦", streamEventLost: "유실된 이벤트를 다시 보냄",
    },
    about: (version, zone) => `Firstcome ${version} · 시각은 ${zone} 기준입니다.`,
    fixedOff: a => `${a} 할인`, percentOff: p => `${p}% 할인`, percentUpTo: (p, a) => `${p}% 할인, 최대 ${a}`,
    name: "이름", fixed: "정액", percent: "정률", amount: "할인 금액(원)", percentage: "할인율(%)", maxAmount: "최대 할인 금액(원)",
    quantity: "수량", newQuantity: "새 수량", minOrderAmount: "최소 주문 금액(원)",
    opensAtField: "시작 시각", closesAtField: "종료 시각", opensAtHint: "비워 두면 바로 시작합니다.", closesAtHint: "비워 두면 종료하지 않습니다.",
    validDays: "유효 기간(발급일부터, 일)", restoreOnRefund: "전액 환불하면 쿠폰을 되돌려 줍니다",
    open: "열기", cancel: "취소", close: "닫기", save: "저장", raiseIt: "늘리기", editTitle: "캠페인 수정",
    nowQuantity: (q, r) => `현재 ${q}개 중 ${r}개가 남아 있습니다.`,
    opened: n => `캠페인 ${n}번을 만들었습니다.`, saved: n => `캠페인 ${n}번을 수정했습니다.`, raised: (n, q) => `캠페인 ${n}번의 수량이 ${q}개가 되었습니다.`,
    changedMeanwhile: "그사이 캠페인이 변경되어 다시 불러왔습니다. 내용을 확인하고 다시 보내세요.",
    busy: "판매가 진행되어 캠페인이 계속 바뀌고 있습니다. 다시 시도하세요.",
    unchanged: "변경된 내용이 없습니다.", failed: "요청을 처리하지 못했습니다. 다시 시도하세요.",
    needName: "이름을 입력하세요.", needInteger: (low, high) => `${low}부터 ${high}까지의 정수를 입력하세요.`, needAbove: n => `${n}보다 큰 수를 입력하세요.`,
    needInstant: "날짜와 시각을 입력하세요.", needLater: "시작 시각보다 뒤여야 합니다.", alreadyIssued: n => `이미 ${n}개가 발급되었습니다.`,
    parkedText: "데이터 플랫폼이 받지 않은 이벤트입니다. 재시도하면 다시 대기열에 들어갑니다.", noEvents: "보류된 이벤트가 없습니다.",
    retry: "재시도", retryAll: "모두 재시도", retryOne: n => `이벤트 ${n} 재시도`, more: "더 보기",
    event: (id, order) => `이벤트 ${id}, 주문 ${order}`, attempts: n => `${n}회 시도`,
    eventTypes: { ORDER_PAID: "결제", ORDER_REFUNDED: "환불" }, retried: n => `이벤트 ${n}건을 다시 대기열에 넣었습니다.`,
  },
};
const language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
const text = texts[language];

// ---- Formats

const unknown = "–";
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 }), tenths = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const won = new Intl.NumberFormat(language, { style: "currency", currency: "KRW", maximumFractionDigits: 0 });
const known = format => value => value === null || value === undefined ? unknown : format(value);
const integer = known(value => whole.format(value));
const rate = known(value => (value < 10 ? tenths : whole).format(value));
const money = known(value => won.format(value));
const compactWon = new Intl.NumberFormat(language, { style: "currency", currency: "KRW", notation: "compact", maximumSignificantDigits: 3 });
const shortMoney = value => compactWon.format(value);
const milliseconds = known(value => `${new Intl.NumberFormat(language, { maximumSignificantDigits: value < 10 ? 2 : 3 }).format(value)} ms`);
const seconds = known(value => new Intl.NumberFormat(language, { style: "unit", unit: "second", maximumFractionDigits: 1 }).format(value));
const pad = number => String(number).padStart(2, "0");

function duration(total) {
  const rest = Math.max(0, Math.floor(total / 1000)), days = Math.floor(rest / 86400);
  return `${days ? text.days(days) : ""}${pad(Math.floor(rest / 3600) % 24)}:${pad(Math.floor(rest / 60) % 60)}:${pad(rest % 60)}`;
}

// Times are shown and entered in the service's business time zone, which each snapshot names, not in the browser's.
const zone = {
  name: "UTC",
  use(name) {
    if (name === this.name && this.date) return;
    this.name = name;
    for (const element of document.querySelectorAll(".zone")) element.textContent = `(${name})`;
    const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: name };
    this.date = new Intl.DateTimeFormat(language, { ...clock, year: "numeric", month: "short", day: "numeric" });
    this.moment = new Intl.DateTimeFormat(language, { ...clock, month: "short", day: "numeric" });
    this.time = new Intl.DateTimeFormat(language, { ...clock, fractionalSecondDigits: 3 });
    this.parts = new Intl.DateTimeFormat("en-US", { ...clock, year: "numeric", month: "2-digit", day: "2-digit" });
  },
  /** Date and time, without the year where it is this one. */
  when(instant) {
    const date = new Date(instant), now = performance.now() + shown.clockOffset;
    return (this.local(date).slice(0, 4) === this.local(now).slice(0, 4) ? this.moment : this.date).format(date);
  },
  /** "2026-11-23T12:00:00", as an input of type datetime-local wants it. */
  local(instant) {
    const part = Object.fromEntries(this.parts.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
    return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}:${part.second}`;
  },
  /** The instant of such a local time, as RFC 3339 in UTC. The second pass corrects a guess on the other side of a change of clocks. */
  instant(local) {
    const wanted = Date.parse(`${local}Z`);
    let guess = wanted;
    for (let pass = 0; pass < 2; pass++) guess += wanted - Date.parse(`${this.local(guess)}Z`);
    return new Date(guess).toISOString();
  },
};

// ---- The page's elements

const $ = id => document.getElementById(id);

// What was written into each element, so that nothing is written twice, and all of it can be removed.
const contents = new Map();

function put(id, value) {
  const element = typeof id === "string" ? $(id) : id;
  if (contents.get(element) === value) return;
  contents.set(element, value);
  element.textContent = value;
}

/** Gives an element new children if `state`, from which they are made, is not the one that is shown. */
function fill(element, state, children) {
  const signature = JSON.stringify(state);
  if (contents.get(element) === signature) return;
  contents.set(element, signature);
  element.replaceChildren(...children());
}

function forget() {
  for (const element of contents.keys()) element.replaceChildren();
  contents.clear();
}

function make(tag, className, content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (content !== undefined) element.textContent = content;
  return element;
}

/** Replaces the rows of a table if `rows` differ from those shown; a cell is [class, text] or [class, text, tag]. */
function putRows(id, empty, rows) {
  const table = $(id);
  table.hidden = rows.length === 0;
  if (empty) $(empty).hidden = rows.length > 0;
  fill(table.tBodies[0], rows, () => rows.map(cells => {
    const row = make("tr");
    row.append(...cells.map(([className, content, tag]) => {
      const cell = make("td", className, content);
      if (tag) cell.append(make("span", "tag", tag));
      return cell;
    }));
    return row;
  }));
}

/** Says something to screen readers, and with `show` in a message at the bottom too. */
function say(message, show = false) {
  put("spoken", message);
  if (!show) return;
  put("toast-text", message);
  $("toast").hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("toast").hidden = true; }, 10_000);
}

// ---- The token: in this tab's sessionStorage and nowhere else

const session = {
  get token() { return sessionStorage.getItem("firstcome.token"); },
  set token(value) { if (value) sessionStorage.setItem("firstcome.token", value); else sessionStorage.removeItem("firstcome.token"); },
  get watched() { return sessionStorage.getItem("firstcome.campaign"); },
  set watched(id) { if (id) sessionStorage.setItem("firstcome.campaign", id); else sessionStorage.removeItem("firstcome.campaign"); },
};

// ---- Requests

function request(path, options = {}) {
  return fetch(`/api/v1${path}`, {
    cache: "no-store", credentials: "omit", redirect: "error", ...options,
    headers: { Authorization: `Bearer ${session.token}`, ...options.headers },
  });
}

/** The answer as {ok, status, tag, body}; status is 0 where the service does not answer. */
async function call(path, method = "GET", body = undefined, headers = {}) {
  try {
    const json = body === undefined ? {} : { "Content-Type": "application/json" };
    const answer = await request(path, { method, body: body && JSON.stringify(body), headers: { ...json, ...headers } });
    const result = { ok: answer.ok, status: answer.status, tag: answer.headers.get("ETag"), body: await answer.json().catch(() => ({})) };
    if (answer.status === 401 || answer.status === 403) leave(text.tokenEnded);
    return result;
  } catch {
    return { ok: false, status: 0, tag: null, body: {} };
  }
}

// ---- The live stream

/** Parses text/event-stream from pieces that may end anywhere, also between CR and LF. */
class EventParser {
  constructor(onEvent) { this.onEvent = onEvent; this.rest = ""; this.data = []; this.type = ""; }
  feed(piece) {
    this.rest += piece;
    let start = 0;
    for (const end of this.rest.matchAll(/\r\n|\n|\r(?=[^])/g)) {
      this.line(this.rest.slice(start, end.index));
      start = end.index + end[0].length;
    }
    this.rest = this.rest.slice(start);
    if (this.rest.length > 1_000_000) throw new Error("a line of the stream is too long");
  }
  line(line) {
    if (line === "") {
      if (this.data.length) this.onEvent(this.type || "message", this.data.join("\n"));
      this.data = [];
      this.type = "";
      return;
    }
    const colon = line.indexOf(":"), field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    if (field === "event") this.type = value;
  }
}

const live = {
  controller: null, timer: 0, failures: 0, retryAt: 0, state: "connecting", lastSnapshot: 0, lastByte: 0,

  start() {
    this.stop();
    this.setState("connecting");
    this.read(this.controller = new AbortController());
  },
  stop() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.controller = null;
  },
  async read(controller) {
    let pause = 0, since = Infinity;
    try {
      const watched = session.watched;
      const answer = await request(`/admin/live${watched ? `?couponId=${watched}` : ""}`, { signal: controller.signal });
      if (answer.status === 401 || answer.status === 403) return leave(refusal(answer.status), true);
      if (watched && (answer.status === 400 || answer.status === 404)) session.watched = null;
      if (!answer.ok || !answer.body) {
        pause = 1000 * Number(answer.headers.get("Retry-After") ?? 0);
        throw new Error(`the stream was answered ${answer.status}`);
      }
      enter();
      const parser = new EventParser((type, data) => { if (type === "snapshot" && controller === this.controller) this.take(JSON.parse(data)); });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      this.lastByte = since = performance.now();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.lastByte = performance.now();
        parser.feed(value);
      }
    } catch { /* Whatever ended the stream, it is opened again below. */ }
    if (controller !== this.controller) return;
    // The service ends each stream after a while, so that the token is checked again: that is no loss of the connection.
    if (performance.now() - since > 10_000 && this.state === "live") this.start(); else this.reconnect(pause);
  },
  take(snapshot) {
    this.failures = 0;
    this.lastSnapshot = performance.now();
    this.setState("live");
    show(snapshot);
  },
  /** Opens the stream again after 1, 2, 4, 8, then each 15 s, or when the service asked to, with a little chance against stampedes. */
  reconnect(pause) {
    this.stop();
    if (!$("gate").hidden && session.token === null) return;
    if (entering) return leave(text.unreachable, true);
    const delay = Math.max(pause || 0, Math.min(15_000, 1000 * 2 ** this.failures++)) + 250 * Math.random();
    this.retryAt = performance.now() + delay;
    this.setState("waiting");
    this.timer = setTimeout(() => this.start(), delay);
  },
  setState(state) {
    const former = this.state;
    if (state === "connecting" && former !== "connecting" && this.lastSnapshot > 0) return;
    this.state = state;
    if (former === state) return;
    if (state === "stale") say(text.spokenStale);
    if (state === "waiting" && former !== "stale") say(text.spokenWaiting);
    if (state === "live" && (former === "waiting" || former === "stale")) say(text.spokenLive);
    this.tick();
  },
  /** Once a second: finds a stream that has fallen silent, and tells how old the numbers are. */
  tick() {
    const now = performance.now();
    if (this.controller && this.state === "live" && now - this.lastSnapshot > 3500) this.setState("stale");
    if (this.controller && this.lastByte && now - this.lastByte > 20_000 && this.state === "stale") { this.lastByte = 0; this.reconnect(); }
    const age = Math.round((now - this.lastSnapshot) / 1000), left = Math.max(0, Math.ceil((this.retryAt - now) / 1000));
    put("connection-text", { connecting: text.connecting, live: text.live, stale: text.stale(age), waiting: text.waiting(left) }[this.state]);
    $("connection").className = `connection ${this.state}`;
    $("board").classList.toggle("old", this.state === "stale" || this.state === "waiting");
  },
};

// ---- Charts: two minutes of one number

class Chart {
  static span = 120_000;
  /** `format` writes the number, `short` the highest of the two minutes. */
  constructor(figure, format, short) {
    Object.assign(this, { format, short });
    this.points = [];
    this.number = make("span", "large", unknown);
    this.max = make("span", "max");
    const axis = make("div", "axis");
    axis.append(make("span", "", text.chartStart), make("span", "", text.chartNow));
    const numbers = make("div", "numbers");
    numbers.append(this.number, this.max);
    const svg = (tag, attributes) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    const image = svg("svg", { viewBox: "0 0 240 72", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.area = svg("path", { class: "area" });
    this.curve = svg("path", { class: "curve" });
    image.append(...[1, 36, 71].map(y => svg("path", { class: "rule", d: `M0 ${y}H240` })), this.area, this.curve);
    figure.append(numbers, image, axis);
  }
  push(at, value) {
    this.points.push({ at, value });
    this.points = this.points.filter(point => point.at > at - Chart.span && point.at <= at);
    put(this.number, this.format(value));
    this.draw(at);
  }
  /** Draws each run of known values without a gap as a line of its own. */
  draw(now) {
    const highest = Math.max(0, ...this.points.map(point => point.value ?? 0)), top = highest || 1;
    put(this.max, highest ? text.chartMax(this.short(highest)) : "");
    let curve = "", area = "", run = [];
    const close = () => {
      if (run.length) {
        const path = run.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
        curve += `M${path}${run.length === 1 ? "h0.5" : ""}`;
        area += `M${run[0].x.toFixed(1)} 71L${path}V71Z`;
      }
      run = [];
    };
    let former = -Infinity;
    for (const { at, value } of this.points) {
      if (value === null || value === undefined || at - former > 3000) close();
      if (value !== null && value !== undefined) run.push({ x: 240 * (1 - (now - at) / Chart.span), y: 71 - 70 * value / top });
      former = at;
    }
    close();
    this.curve.setAttribute("d", curve);
    this.area.setAttribute("d", area);
  }
  clear() { this.points = []; this.draw(0); put(this.number, unknown); }
}

const charts = {
  won: new Chart($("chart-won"), rate, rate), refused: new Chart($("chart-refused"), rate, rate),
  payments: new Chart($("chart-payments"), rate, rate), amount: new Chart($("chart-amount"), money, shortMoney),
};

// ---- What is shown

const shown = { campaign: null, sale: null, clockOffset: 0, statuses: new Map() };

function show(snapshot) {
  $("board").hidden = $("about").hidden = false;
  zone.use(snapshot.timeZone);
  const at = Date.parse(snapshot.at);
  shown.clockOffset = at - performance.now();
  shown.sale = snapshot.sale;
  shown.campaign = snapshot.campaigns.find(campaign => campaign.couponId === snapshot.sale?.couponId) ?? null;
  showChoice(snapshot.campaigns);
  showSale(shown.campaign, snapshot.sale, snapshot.health.store.answers);
  charts.won.push(at, snapshot.claims.wonPerSecond);
  charts.refused.push(at, snapshot.claims.refusedPerSecond);
  charts.payments.push(at, snapshot.payments.perSecond);
  charts.amount.push(at, snapshot.payments.wonPerSecond);
  for (const name of ["claims", "payments"]) for (const part of ["p50", "p99"]) put(`${name}-${part}`, milliseconds(snapshot[name][part]));
  showTop(snapshot.top);
  showHealth(snapshot.health);
  showRecovery(snapshot.recovery);
  showServices(snapshot.services, at);
  put("about", text.about(snapshot.version, snapshot.timeZone));
  tick();
}

function showChoice(campaigns) {
  const select = $("campaign"), choices = campaigns.map(({ couponId, name, status }) => [couponId, name, text.status[status] ?? status]);
  fill(select, choices, () => choices.map(([id, name, status]) => {
    const option = make("option", "", `#${id} ${name} (${status})`);
    option.value = id;
    return option;
  }));
  // Another choice than the snapshot's is under way while the stream is opened anew.
  const wanted = session.watched ?? String(shown.sale?.couponId ?? "");
  if (select.value !== wanted && document.activeElement !== select) select.value = wanted;
}

function discountText({ type, amount, percent, maxAmount }) {
  if (type === "FIXED") return text.fixedOff(money(amount));
  return maxAmount ? text.percentUpTo(percent, money(maxAmount)) : text.percentOff(percent);
}

/** `isKnown` is false where the service has not read its campaigns yet. */
function showSale(campaign, sale, isKnown) {
  $("sale").hidden = $("sale-head").hidden = !campaign;
  $("no-sale").hidden = campaign || !isKnown;
  putRows("winners", "no-winners", (sale?.latestWinners ?? []).map(({ sequence, userId, issuedAt }) =>
    [["", integer(sequence)], ["", String(userId)], ["time end", zone.time.format(new Date(issuedAt))]]));
  if (!campaign) return;
  const { couponId, name, status, remaining, quantity } = campaign;
  put("sale-title", name);
  put("sale-status", text.status[status] ?? status);
  $("sale-status").className = `badge ${status.toLowerCase().replace("_", "-")}`;
  const former = shown.statuses.get(couponId);
  if (former && former !== status) say(text.spokenStatus(name, text.status[status] ?? status));
  shown.statuses.set(couponId, status);
  put("remaining", integer(remaining));
  put("quantity", text.ofQuantity(integer(quantity)));
  $("remaining-bar").max = quantity;
  $("remaining-bar").value = remaining;
  put("discount", discountText(campaign.discount));
  put("issued", integer(quantity - remaining));
  put("opens-at", zone.when(campaign.opensAt));
  put("closes-at", campaign.closesAt ? zone.when(campaign.closesAt) : text.never);
  $("chain").hidden = !campaign.chain;
  put("chain-sequence", campaign.chain ? text.chainAt(integer(campaign.chain.sequence)) : "");
  put("chain-hash", campaign.chain?.hash ?? "");
}

/** The clock of the sale, by the service's time: it goes on between snapshots. */
function showClock() {
  const campaign = shown.campaign;
  if (!campaign) return;
  const now = performance.now() + shown.clockOffset, opens = Date.parse(campaign.opensAt);
  const closes = campaign.closesAt ? Date.parse(campaign.closesAt) : null, last = shown.sale?.latestWinners[0];
  const set = (label, time, note = "") => { put("clock-label", label); put("clock", time); put("clock-note", note); };
  switch (campaign.status) {
  case "SCHEDULED": return set(text.opensIn, duration(opens - now));
  case "OPEN": return closes === null ? set(text.openFor, duration(now - opens)) : set(text.closesIn, duration(closes - now));
  case "SOLD_OUT": {
    if (!last) return set("", "");
    const end = Date.parse(last.issuedAt), took = end - opens;
    return set(text.soldOutFor, duration(now - end), took >= 0 ? text.took(took < 60_000 ? seconds(took / 1000) : duration(took)) : "");
  }
  case "CLOSED": return closes === null ? set("", "") : set(text.closedFor, duration(now - closes));
  default: return set("", "");
  }
}

function showTop(top) {
  const items = top?.items ?? [], most = Math.max(1, ...items.map(item => item.unitsSold));
  $("no-top").hidden = items.length > 0;
  put("top-window", top ? `${top.window.from} – ${top.window.to}` : "");
  fill($("top"), items, () => items.map(({ rank, name, price, stock, unitsSold }) => {
    const row = make("li"), bar = make("progress");
    bar.max = most;
    bar.value = unitsSold;
    bar.setAttribute("aria-hidden", "true");
    row.append(make("span", "rank", rank), make("span", "", name), make("span", "units", text.units(integer(unitsSold))), bar,
      make("span", "detail quiet small", `${money(price)} · ${text.stock(integer(stock))}`));
    return row;
  }));
}

function putState(id, level, value, note = "") {
  fill($(id), [level, value, note], () => {
    const state = make("span", `state ${level}`);
    if (level) state.append(make("span", "dot"));
    state.append(make("span", "", value));
    if (note) state.append(make("small", "", note));
    return [state];
  });
}

function showHealth({ ready, missing, store, redis, outbox }) {
  putState("ready", ready ? "good" : "bad", ready ? text.ready : text.notReady, missing.join(", "));
  putState("store", store.answers ? "good" : "bad", store.answers ? text.answers : text.silent, { sqlite: "SQLite", postgresql: "PostgreSQL" }[store.engine] ?? store.engine);
  putState("redis", redis.answers ? "good" : "bad", redis.answers ? text.answers : text.silent);
  putState("lag", outbox.lagSeconds > 60 ? "warn" : "", seconds(outbox.lagSeconds));
  putState("waiting", "", integer(outbox.waiting));
  putState("parked", outbox.parked ? "warn" : "", integer(outbox.parked));
}

function showRecovery(findings) {
  putRows("recovery", "no-recovery", findings.map(({ at, kind, count }) => {
    const name = kind.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
    return [["time", zone.when(at)], ["", text.kinds[name] ?? kind], ["end", integer(count)]];
  }));
}

function showServices(services, now) {
  $("services-panel").hidden = services.length === 0;
  const ago = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
  putRows("services", null, services.map(({ name, isThis, seenAt, duties }) => [
    ["", name, isThis ? text.thisOne : undefined], ["", duties ? text.duties : text.noDuties],
    ["time end", ago.format(-Math.max(0, Math.round((now - Date.parse(seenAt)) / 1000)), "second")],
  ]));
}

function tick() {
  live.tick();
  showClock();
}

// ---- Entering and leaving

let entering = false;
const refusal = status => status === 403 ? text.tokenOfUser : entering ? text.tokenRefused : text.tokenEnded;

function enter() {
  $("gate").hidden = true;
  $("bar-end").hidden = false;
  document.querySelector(".bar").classList.add("inside");
  if (entering) $("content").focus();
  entering = false;
  $("token").value = "";
}

/** Removes the token and everything that was shown, and asks for a token again. */
function leave(message = "", keepInput = false) {
  const input = $("token").value;
  live.stop();
  session.token = null;
  session.watched = null;
  entering = false;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const id of ["board", "bar-end", "about", "toast"]) $(id).hidden = true;
  document.querySelector(".bar").classList.remove("inside");
  $("events").replaceChildren();
  for (const form of document.forms) form.reset();
  Object.assign(shown, { campaign: null, sale: null, statuses: new Map() });
  forget();
  for (const chart of Object.values(charts)) chart.clear();
  if (keepInput) $("token").value = input;
  $("gate").hidden = false;
  put("token-error", message);
  $("token").toggleAttribute("aria-invalid", false);
  if (message) $("token").setAttribute("aria-invalid", "true");
  $("token").focus();
  $("token").select();
}

$("token-form").addEventListener("submit", event => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^Bearer\s+/i, "");
  if (!token) return leave(text.tokenMissing);
  // What cannot stand in a header cannot be a token.
  if (!/^[\x21-\x7e]+$/.test(token)) return leave(text.tokenRefused, true);
  put("token-error", "");
  session.token = token;
  entering = true;
  live.failures = 0;
  live.state = "connecting";
  live.start();
});
$("leave").addEventListener("click", () => leave());
$("toast-close").addEventListener("click", () => { $("toast").hidden = true; });
$("campaign").addEventListener("change", event => watch(event.target.value));

function watch(id) {
  session.watched = String(id);
  live.start();
}

// ---- Forms and actions

/** A form in a dialog: its fields by name, their errors, and what happens while it is sent. */
class DialogForm {
  constructor(id, send) {
    this.dialog = $(id);
    this.form = this.dialog.querySelector("form");
    for (const input of this.form.querySelectorAll(".field input")) {
      const error = make("p", "error"), hint = input.parentElement.querySelector(".hint");
      error.id = `${input.id}-error`;
      if (hint) hint.id ||= `${input.id}-hint`;
      input.setAttribute("aria-describedby", hint ? `${hint.id} ${error.id}` : error.id);
      input.after(...(hint ? [hint, error] : [error]));
    }
    this.form.addEventListener("submit", async event => {
      event.preventDefault();
      const button = this.form.querySelector("button.primary");
      if (button.disabled) return;
      this.clearErrors();
      button.disabled = true;
      try { await send(this); } finally { button.disabled = false; }
      this.form.querySelector("[aria-invalid]")?.focus();
    });
  }
  open() {
    this.clearErrors();
    $("toast").hidden = true;
    this.dialog.showModal();
    this.form.querySelector("input").focus();
  }
  input(name) { return this.form.querySelector(`.field input[name="${name}"]`); }
  set(name, value) { this.input(name).value = value; }
  fail(name, message) {
    const input = this.input(name);
    if (!input || input.parentElement.hidden) return this.failAll(`${name}: ${message}`);
    input.setAttribute("aria-invalid", "true");
    put(`${input.id}-error`, message);
  }
  failAll(message) {
    const place = this.form.querySelector(".form-error");
    put(place, place.textContent ? `${place.textContent} ${message}` : message);
  }
  clearErrors() {
    for (const error of this.form.querySelectorAll(".error")) put(error, "");
    for (const input of this.form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }
  get isValid() { return !this.form.querySelector("[aria-invalid]"); }
  /** A whole number, undefined where an optional field is empty, or an error at the field. */
  integer(name, low, high, optional = false) {
    const value = this.input(name).value.replace(/[\s,]/g, "");
    if (value === "" && optional) return undefined;
    if (/^\d{1,15}$/.test(value) && Number(value) >= low && Number(value) <= high) return Number(value);
    this.fail(name, text.needInteger(integer(low), integer(high)));
  }
  /** An instant, or undefined where the field is empty. A date without a time is an error, not an empty field. */
  instant(name) {
    const input = this.input(name);
    if (input.validity.badInput) return this.fail(name, text.needInstant);
    return input.value ? zone.instant(input.value) : undefined;
  }
  window() {
    const opensAt = this.instant("opensAt"), closesAt = this.instant("closesAt");
    if (closesAt && Date.parse(closesAt) <= (opensAt ? Date.parse(opensAt) : performance.now() + shown.clockOffset)) this.fail("closesAt", text.needLater);
    return { opensAt, closesAt };
  }
  /** Shows a problem of the service: each error at its field, everything else above the buttons. */
  problem({ status, body }) {
    if (status === 0) return this.failAll(text.unreachable);
    if (body.code === "QUANTITY_ISSUED") return this.fail("quantity", text.alreadyIssued(integer(body.issued)));
    if (body.errors?.length) for (const { field, reason } of body.errors) this.fail(field, reason);
    else this.failAll(body.detail ?? text.failed);
  }
  done(message) {
    this.dialog.close();
    say(message, true);
  }
}

// One key per content, so that sending the same form again after a lost answer does not open a second campaign.
const idempotency = {
  content: null, key: null,
  keyFor(body) {
    const content = JSON.stringify(body);
    if (content !== this.content) {
      this.content = content;
      this.key = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
    }
    return this.key;
  },
};
const highestWon = 1_000_000_000_000, highestQuantity = 100_000_000;

const openForm = new DialogForm("open-dialog", async form => {
  const name = form.input("name").value.trim(), type = form.form.elements.type.value;
  if (!name) form.fail("name", text.needName);
  const discount = type === "FIXED" ? { type, amount: form.integer("discount.amount", 1, highestWon) }
    : { type, percent: form.integer("discount.percent", 1, 100), maxAmount: form.integer("discount.maxAmount", 1, highestWon, true) };
  const days = form.integer("validFor", 1, 3650);
  const body = {
    name, discount, quantity: form.integer("quantity", 1, highestQuantity), ...form.window(), validFor: days * 86_400,
    minOrderAmount: form.integer("minOrderAmount", 0, highestWon, true), restoreOnRefund: form.form.elements.restoreOnRefund.checked,
  };
  if (!form.isValid) return;
  const answer = await call("/coupons", "POST", body, { "Idempotency-Key": idempotency.keyFor(body) });
  if (!answer.ok) return form.problem(answer);
  idempotency.content = null;
  form.form.reset();
  form.done(text.opened(answer.body.couponId));
  watch(answer.body.couponId);
});

function showDiscountFields() {
  for (const field of openForm.form.querySelectorAll("[data-for]")) field.hidden = field.dataset.for !== openForm.form.elements.type.value;
}
for (const option of openForm.form.elements.type) option.addEventListener("change", showDiscountFields);
$("open-campaign").addEventListener("click", () => {
  showDiscountFields();
  if (!openForm.input("validFor").value) openForm.set("validFor", "30");
  openForm.open();
});

const terms = ({ quantity, opensAt, closesAt }) => JSON.stringify([quantity, opensAt, closesAt ?? null]);

/**
 * Changes a campaign if its terms are still those that the form was filled with. The entity tag also covers what remains, which moves
 * with each claim: while only that differs, the campaign is read again and the change sent with the new tag.
 */
async function change(form, seen, edits) {
  const path = `/coupons/${seen.couponId}`;
  for (let attempt = 0; attempt < 8; attempt++) {
    const current = await call(path);
    if (!current.ok) return form.problem(current);
    if (terms(current.body) !== terms(seen)) {
      form.fill(current.body);
      return form.failAll(text.changedMeanwhile);
    }
    const answer = await call(path, "PATCH", edits, { "If-Match": current.tag });
    if (answer.ok) return answer.body;
    if (answer.status !== 412) return form.problem(answer);
    await new Promise(resolve => setTimeout(resolve, 100 * Math.random() * (attempt + 1)));
  }
  form.failAll(text.busy);
}

const editForm = new DialogForm("edit-dialog", async form => {
  const quantity = form.integer("quantity", 1, highestQuantity), { opensAt, closesAt } = form.window(), seen = form.seen, edits = {};
  if (!opensAt && form.isValid) form.fail("opensAt", text.needInstant);
  if (!form.isValid) return;
  // Fields show whole seconds: an instant counts as changed only if its field was.
  if (quantity !== seen.quantity) edits.quantity = quantity;
  if (form.input("opensAt").value !== form.filled.opensAt) edits.opensAt = opensAt;
  if (form.input("closesAt").value !== form.filled.closesAt) edits.closesAt = closesAt ?? null;
  if (!Object.keys(edits).length) return form.failAll(text.unchanged);
  const changed = await change(form, seen, edits);
  if (changed) form.done(text.saved(changed.couponId));
});
editForm.fill = campaign => {
  editForm.seen = campaign;
  put("edit-name", `#${campaign.couponId} ${campaign.name}`);
  put("edit-hint", text.nowQuantity(integer(campaign.quantity), integer(campaign.remaining)));
  editForm.set("quantity", campaign.quantity);
  for (const name of ["opensAt", "closesAt"]) editForm.set(name, campaign[name] ? zone.local(campaign[name]) : "");
  // Read back, because the browser shortens a time without seconds.
  editForm.filled = { opensAt: editForm.input("opensAt").value, closesAt: editForm.input("closesAt").value };
};

const raiseForm = new DialogForm("raise-dialog", async form => {
  const quantity = form.integer("quantity", 1, highestQuantity);
  if (form.isValid && quantity <= form.seen.quantity) form.fail("quantity", text.needAbove(integer(form.seen.quantity)));
  if (!form.isValid) return;
  const changed = await change(form, form.seen, { quantity });
  if (changed) form.done(text.raised(changed.couponId, integer(changed.quantity)));
});
raiseForm.fill = campaign => {
  raiseForm.seen = campaign;
  put("raise-name", `#${campaign.couponId} ${campaign.name}`);
  put("raise-hint", text.nowQuantity(integer(campaign.quantity), integer(campaign.remaining)));
  raiseForm.set("quantity", "");
};
for (const [id, form] of [["edit", editForm], ["raise", raiseForm]]) {
  $(id).addEventListener("click", () => {
    form.fill(shown.campaign);
    form.open();
  });
}

// ---- Parked events

const parked = {
  cursor: null,
  async open() {
    $("events").replaceChildren();
    $("parked-dialog").showModal();
    await this.load("");
  },
  async load(cursor) {
    this.fail("");
    const answer = await call(`/admin/events?state=parked&limit=20${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    if (!answer.ok) return this.fail(answer.body.detail ?? text.unreachable);
    $("events").append(...answer.body.items.map(event => this.row(event)));
    this.cursor = answer.body.nextCursor;
    this.update();
  },
  row({ eventId, orderId, type, attempts, occurredAt, lastError }) {
    const row = make("li"), about = make("div"), button = make("button", "", text.retry);
    about.append(make("p", "", text.event(eventId, orderId)),
      make("p", "quiet small", [text.eventTypes[type] ?? type, zone.when(occurredAt), text.attempts(integer(attempts))].join(" · ")));
    if (lastError) about.append(make("p", "error", lastError));
    about.lastChild.lang = lastError ? "en" : language;
    button.type = "button";
    button.setAttribute("aria-label", text.retryOne(eventId));
    button.addEventListener("click", async () => {
      button.disabled = true;
      const answer = await call(`/admin/events/${eventId}/retry`, "POST");
      button.disabled = false;
      // Another operator may have retried the event before. Then it is not parked any more, and leaves the list too.
      if (!answer.ok && answer.body.code !== "EVENT_NOT_PARKED") return this.fail(answer.body.detail ?? text.unreachable);
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      (next?.querySelector("button") ?? $("parked-dialog").querySelector("[data-close]")).focus();
      this.update();
      say(text.retried(integer(1)), true);
    });
    row.append(about, button);
    return row;
  },
  async retryAll() {
    $("retry-all").disabled = true;
    const answer = await call("/admin/events/retry", "POST");
    if (!answer.ok) { $("retry-all").disabled = false; return this.fail(answer.body.detail ?? text.unreachable); }
    $("parked-dialog").close();
    say(text.retried(integer(answer.body.retried)), true);
  },
  update() {
    const none = $("events").children.length === 0 && !this.cursor;
    $("no-events").hidden = !none;
    $("more-events").hidden = !this.cursor;
    $("retry-all").disabled = none;
  },
  fail(message) { put($("parked-dialog").querySelector(".form-error"), message); },
};
$("parked-events").addEventListener("click", () => parked.open());
$("more-events").addEventListener("click", () => parked.load(parked.cursor));
$("retry-all").addEventListener("click", () => parked.retryAll());
for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());

// ---- Start

document.documentElement.lang = language;
document.title = `Firstcome ${text.console}`;
for (const element of document.querySelectorAll("[data-text]")) element.textContent = text[element.dataset.text];
for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", text[element.dataset.label]);
zone.use("UTC");
setInterval(() => { if (session.token && !document.hidden) tick(); }, 1000);
document.addEventListener("visibilitychange", () => {
  if (!session.token) return;
  if (document.hidden) return live.stop();
  Object.assign(live, { failures: 0, state: "connecting" });
  live.start();
  live.tick();
});
if (session.token) { enter(); live.start(); } else leave();

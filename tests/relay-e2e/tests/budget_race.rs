//! Budgets under fifty requests at once: exactly as many get in as the budget holds, whichever budget it is,
//! on one instance and on two. What is settled for less than was held is free again, and a reset by hand holds
//! at once.

use std::net::SocketAddr;

use relay_domain::{Calendar, LimitPeriodKind, PeriodStarts, Timestamp};
use relay_e2e::{Account, ApiKey, Exchange, Relay, RelaySettings, Request, Store};
use relay_sandbox::{Step, Usage};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::conversation::MODEL;
use crate::stored::{holds, records, settled};

/// The place by whose clocks days are counted.
const PLACE: &str = "Europe/Berlin";

/// A stream that may cost 96 cents and a little, which is what a hard budget holds of it.
pub(crate) fn dear() -> String {
    let messages = json!([{"role": "user", "content": "hello"}]);
    json!({"model": MODEL, "max_tokens": 58_000, "stream": true, "messages": messages}).to_string()
}

/// The answer has begun, told that its input costs 40 cents, and does not end.
pub(crate) fn begun() -> Step {
    let usage = Usage { input: Some(133_333), output: Some(1), ..Usage::default() };
    Step::new().deltas(9).silence_after_frame(4, 60_000).usage(usage)
}

/// Sends `count` requests at once, to these keys and addresses in turn.
pub(crate) async fn at_once(
    addresses: &[SocketAddr],
    keys: &[&ApiKey],
    count: usize,
) -> Vec<Exchange> {
    let mut requests = JoinSet::new();
    for number in 0..count {
        let address = addresses[number % addresses.len()];
        let key = keys[number / addresses.len() % keys.len()];
        let request = Request::messages(&key.secret, dear());
        requests.spawn(async move { Exchange::open(address, &request).await });
    }
    requests.join_all().await
}

/// Tells apart who got in and who did not.
pub(crate) fn sorted(exchanges: Vec<Exchange>) -> (Vec<Exchange>, Vec<Exchange>) {
    exchanges.into_iter().partition(|exchange| exchange.status() == 200)
}

/// Relay, or two of them on one Redis. The first tells what is stored.
struct Site {
    first: Relay,
    others: Vec<Relay>,
}

#[derive(Clone, Copy)]
enum Kind {
    OneOnSqlite,
    OneOnRedis,
    Two,
}

impl Site {
    async fn start(kind: Kind) -> Self {
        let store = match kind {
            Kind::OneOnSqlite => Store::Sqlite,
            Kind::OneOnRedis | Kind::Two => Store::Redis,
        };
        let settings = |settings: RelaySettings| {
            settings
                .env("ENCRYPTION_KEY", "one key for both of the instances")
                .env("JWT_SECRET", "one secret for both of the instances")
                .env("RELAY_TIMEZONE", PLACE)
        };
        let first = settings(Relay::with(store)).start().await;
        let mut others = Vec::new();
        if matches!(kind, Kind::Two) {
            others.push(first.beside().start().await);
        }
        Self { first, others }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        [&self.first].into_iter().chain(&self.others).map(Relay::address).collect()
    }

    async fn account(&self) -> Account {
        let account = self.first.account("a").await;
        account.script(begun());
        account
    }
}

/// A hard limit of ten dollars, under the name that the admin REST has for it.
fn ten_dollars(name: &str) -> Value {
    json!({name: 10, "budgetPolicy": "hard"})
}

/// Whoever is refused is told which limit is in the way, how much of it is used, and when it starts anew.
async fn explained(refused: Vec<Exchange>, status: u16, kind: &str, resets_at: Option<&str>) {
    for exchange in refused {
        let answer = exchange.finish().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["error"]["code"], json!(format!("{kind}_limit_exceeded")), "{told}");
        assert_eq!(told["limit"]["kind"], json!(kind), "{told}");
        assert_eq!(told["limit"]["allowed"], "10.00", "{told}");
        let used: f64 = told["limit"]["used"].as_str().unwrap().parse().unwrap();
        assert!((9.0..=10.0).contains(&used), "what is in flight counts: {told}");
        match resets_at {
            Some(moment) => assert_eq!(told["limit"]["resetsAt"], json!(moment), "{told}"),
            None if kind == "total_cost" => assert!(told["limit"]["resetsAt"].is_null(), "{told}"),
            None => assert!(told["limit"]["resetsAt"].is_string(), "{told}"),
        }
    }
}

/// Ten of fifty get in; forty cents of each are spent; six more get in; a reset makes room for ten.
async fn exactly_ten(kind: Kind, limits: Value, refusal: (u16, &str)) {
    let site = Site::start(kind).await;
    let account = site.account().await;
    let key = site.first.key_with(limits).await;
    let (addresses, keys) = (site.addresses(), [&key]);
    let midnight = next_midnight();
    let (running, refused) = sorted(at_once(&addresses, &keys, 50).await);
    assert_eq!((running.len(), refused.len()), (10, 40));
    let resets_at = (refusal.1 == "daily_cost").then_some(midnight.as_str());
    explained(refused, refusal.0, refusal.1, resets_at).await;

    let spent = leave(&site.first, running, 10).await;
    assert!((3_999_000_000..4_010_000_000).contains(&spent), "{spent}");
    let (running, refused) = sorted(at_once(&addresses, &keys, 20).await);
    assert_eq!((running.len(), refused.len()), (6, 14), "six dollars are free again");
    let spent = leave(&site.first, running, 16).await;
    assert!(spent <= 10_000_000_000, "{spent}");

    // By hand, and the next request of either instance is let in.
    let path = format!("/api/v2/keys/{}/reset-limits", key.id);
    let answer = site.first.admin("POST", &path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (running, refused) = sorted(at_once(&addresses, &keys, 20).await);
    assert_eq!((running.len(), refused.len()), (10, 10), "all ten dollars are there");
    drop(running);
    let trail = site.first.admin("GET", "/api/v2/audit", &Value::Null).await.text();
    assert!(trail.contains("key.reset-limits") && trail.contains(&key.id), "{trail}");
    account.holds(0).await;
    settled(&site.first, 26).await;
    assert_eq!(holds(&site.first), 0);
}

/// Those that run leave once the provider has told what their input cost. Returns what all have cost.
async fn leave(relay: &Relay, mut running: Vec<Exchange>, count: usize) -> i64 {
    for exchange in &mut running {
        exchange.read_until("event: content_block_delta", 1).await;
    }
    drop(running);
    settled(relay, count).await.iter().map(|record| record["charged"].as_i64().unwrap()).sum()
}

/// When the day of [`PLACE`] ends.
#[expect(clippy::disallowed_methods, reason = "the server's clock is the machine's")]
fn next_midnight() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap());
    let calendar = Calendar::of_zone(PLACE).unwrap();
    let day = calendar.limit_period(LimitPeriodKind::Day, PeriodStarts::default(), now);
    day.ends_at.unwrap().to_string()
}

async fn total(kind: Kind) {
    exactly_ten(kind, ten_dollars("totalCostLimit"), (402, "total_cost")).await;
}

async fn five_hours(kind: Kind) {
    let mut limits = ten_dollars("rateLimitCost");
    limits["rateLimitWindow"] = json!(300);
    exactly_ten(kind, limits, (429, "window_cost")).await;
}

async fn day_of_a_place(kind: Kind) {
    exactly_ten(kind, ten_dollars("dailyCostLimit"), (402, "daily_cost")).await;
}

/// A team with ten dollars a day, and two of its keys with seven and ten in all.
async fn key_and_team(kind: Kind) {
    let site = Site::start(kind).await;
    let account = site.account().await;
    let mut team = ten_dollars("dailyCostLimit");
    team["name"] = json!("a team");
    let answer = site.first.admin("POST", "/api/v2/groups", &team).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let group = answer.json()["group"]["id"].clone();
    let member =
        |dollars: u32| json!({"totalCostLimit": dollars, "budgetPolicy": "hard", "groupId": group});
    let seven = site.first.key_with(member(7)).await;
    let ten = site.first.key_with(member(10)).await;
    let addresses = site.addresses();
    let (running, refused) = sorted(at_once(&addresses, &[&seven, &ten], 50).await);
    assert_eq!((running.len(), refused.len()), (10, 40));
    for exchange in refused {
        let told = exchange.finish().await.json();
        let limit = (told["limit"]["scope"].as_str(), told["limit"]["kind"].as_str());
        let of_whom = [(Some("group"), Some("daily_cost")), (Some("key"), Some("total_cost"))];
        assert!(of_whom.contains(&limit), "{told}");
    }
    leave(&site.first, running, 10).await;
    let of_seven = records(&site.first).iter().filter(|record| record["key"] == seven.id).count();
    assert!(of_seven <= 7, "the key's own limit holds within its team's: {of_seven}");

    // Six dollars of the team's are free, and more of the key's.
    let (running, refused) = sorted(at_once(&addresses, &[&ten], 20).await);
    assert_eq!((running.len(), refused.len()), (6, 14));
    leave(&site.first, running, 16).await;
    let path = format!("/api/v2/groups/{}/reset-limits", group.as_str().unwrap());
    assert_eq!(site.first.admin("POST", &path, &Value::Null).await.status, 200);
    let (running, _) = sorted(at_once(&addresses, &[&ten], 20).await);
    assert!(!running.is_empty() && running.len() <= 10, "{}", running.len());
    drop(running);
    account.holds(0).await;
}

/// A test of each race for each kind of site.
macro_rules! everywhere {
    ($($race:ident),+ $(,)?) => {
        everywhere!(@ sqlite OneOnSqlite $($race)+);
        everywhere!(@ redis OneOnRedis $($race)+);
        everywhere!(@ two_instances Two $($race)+);
    };
    (@ $module:ident $kind:ident $($race:ident)+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $race() {
                    Box::pin(super::$race(super::Kind::$kind)).await;
                }
            )+
        }
    };
}

everywhere![total, five_hours, day_of_a_place, key_and_team];

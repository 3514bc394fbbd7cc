//! Overrides and service rates, on several instances over one store.

use relay_domain::{Actor, ModelName, Multiplier, Platform, Service, ServiceRates};
use relay_pricing::{PriceOverride, Rates};
use relay_store::{MockSettingsRepository, SettingsChange};
use tokio::task::JoinSet;

use super::*;
use crate::operator::OperatorError;

fn model(name: &str) -> ModelName {
    ModelName::try_from(name).unwrap()
}

fn root() -> Actor {
    Actor::admin("root")
}

fn costs(input: i64) -> PriceOverride {
    let standard =
        Rates { input: Some(dollars(input)), output: Some(dollars(input)), ..Rates::default() };
    PriceOverride { standard, ..PriceOverride::default() }
}

/// Two instances on one store.
async fn two() -> (PriceKeeper, PriceKeeper, Stores) {
    let stores = stores();
    let one = keeper_on(PriceSource::Builtin, Arc::clone(&stores.settings)).await;
    let other = keeper_on(PriceSource::Builtin, Arc::clone(&stores.settings)).await;
    (one, other, stores)
}

#[tokio::test]
async fn an_override_holds_here_at_once_and_elsewhere_with_the_next_look() {
    let (one, other, stores) = two().await;
    let opus = model("claude-opus-5");
    let set = one.set_override(&opus, costs(7), &root(), None).await.unwrap();
    assert_eq!((set.set_by.as_str(), &set.price), ("root", &costs(7)));
    assert_eq!((input(&one, "claude-opus-5"), input(&other, "claude-opus-5")), (Some(7), Some(5)));
    assert_eq!(one.override_of("claude-opus-5"), Some(set));
    other.hear().await.unwrap();
    assert_eq!(input(&other, "claude-opus-5"), Some(7));
    assert_eq!(other.status().overrides, 1);
    let later = keeper_on(PriceSource::Builtin, Arc::clone(&stores.settings)).await;
    assert_eq!(input(&later, "claude-opus-5"), Some(7), "whoever starts later knows it");

    assert!(other.remove_override(&opus, &root(), None).await.unwrap());
    assert!(!other.remove_override(&opus, &root(), None).await.unwrap());
    assert_eq!(input(&other, "claude-opus-5"), Some(5));
    one.hear().await.unwrap();
    assert_eq!((input(&one, "claude-opus-5"), one.status().overrides), (Some(5), 0));
}

#[tokio::test]
async fn overrides_set_at_once_on_several_instances_are_all_kept() {
    let (one, other, _stores) = two().await;
    let (one, other) = (Arc::new(one), Arc::new(other));
    let mut setting = JoinSet::new();
    for number in 0..8 {
        let keeper = Arc::clone(if number % 2 == 0 { &one } else { &other });
        let name = model(&format!("m{number}"));
        setting
            .spawn(async move { keeper.set_override(&name, costs(number), &root(), None).await });
    }
    for result in setting.join_all().await {
        result.unwrap();
    }
    assert_eq!(one.overrides().await.unwrap().len(), 8);
    one.hear().await.unwrap();
    for number in 0..8 {
        assert_eq!(input(&one, &format!("m{number}")), Some(number));
    }
}

#[tokio::test]
async fn what_cannot_be_a_price_is_refused_and_there_is_a_bound() {
    let (one, _other, _stores) = two().await;
    let refused = |result: Result<StoredOverride, OperatorError>| match result {
        Err(OperatorError::Invalid { field, why }) => format!("{field} {why}"),
        other => panic!("{other:?}"),
    };
    let nothing = one.set_override(&model("m"), PriceOverride::default(), &root(), None).await;
    assert_eq!(refused(nothing), "standard must have a price of input and one of output");
    let all = (0..1_000).map(|number| {
        let stored =
            StoredOverride { price: costs(1), set_at: Timestamp::EPOCH, set_by: "root".to_owned() };
        (format!("m{number}"), stored)
    });
    let next = overrides::print(all.collect()).unwrap();
    let change = SettingsChange { name: SettingsName::PriceOverrides, expected: None, next };
    assert!(one.settings.replace(&change).await.unwrap());
    let one_more = one.set_override(&model("one more"), costs(1), &root(), None).await;
    assert_eq!(refused(one_more), "model cannot be overridden: there are 1,000 overrides");
    one.set_override(&model("m7"), costs(2), &root(), None).await.unwrap();
}

#[tokio::test]
async fn service_rates_are_v1s_and_heard_everywhere() {
    let (one, other, _stores) = two().await;
    let of_v1 = r#"{"baseService":"claude","rates":{"claude":1.5},"updatedBy":"admin"}"#;
    let name = SettingsName::ServiceRates;
    let change = SettingsChange { name, expected: None, next: of_v1.to_owned() };
    assert!(one.settings.replace(&change).await.unwrap());
    assert_eq!(one.prices().service_rates().of(Platform::ClaudeConsole), Multiplier::ONE);
    one.hear().await.unwrap();
    assert_eq!(one.prices().service_rates().of(Platform::ClaudeConsole).to_string(), "1.5");

    let rates: ServiceRates =
        [(Service::Codex, Multiplier::from_micros(250_000))].into_iter().collect();
    let (written, _) =
        one.set_service_rates(Some(Service::Codex), &rates, &root(), None).await.unwrap();
    assert_eq!(
        (written.base_service.as_str(), written.updated_by.as_deref()),
        ("codex", Some("root"))
    );
    assert_eq!(one.prices().service_rates().of(Platform::ClaudeConsole), Multiplier::ONE);
    other.hear().await.unwrap();
    assert_eq!(other.prices().service_rates().of(Platform::Codex).to_string(), "0.25");
    assert_eq!(other.stored_service_rates().await.unwrap().0, written);
    let (kept, _) = one.set_service_rates(None, &rates, &root(), None).await.unwrap();
    assert_eq!(kept.base_service, "codex", "what is not said stays");
}

#[tokio::test]
async fn documents_that_cannot_be_read_change_nothing() {
    let (one, _other, _stores) = two().await;
    one.set_override(&model("claude-opus-5"), costs(7), &root(), None).await.unwrap();
    let rates: ServiceRates =
        [(Service::Claude, Multiplier::from_micros(2_000_000))].into_iter().collect();
    one.set_service_rates(None, &rates, &root(), None).await.unwrap();
    for name in SettingsName::ALL {
        let expected = one.settings.read(name).await.unwrap();
        let change = SettingsChange { name, expected, next: "{\"overrides\": 5".to_owned() };
        assert!(one.settings.replace(&change).await.unwrap());
    }
    assert!(matches!(one.hear().await, Err(StoreError::Corrupt { .. })));
    assert_eq!(input(&one, "claude-opus-5"), Some(7));
    assert_eq!(one.prices().service_rates().of(Service::Claude).to_string(), "2");
    let refused = one.set_override(&model("m"), costs(1), &root(), None).await;
    assert!(
        matches!(refused, Err(OperatorError::Store(StoreError::Corrupt { .. }))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_away_changes_nothing() {
    let mut away = MockSettingsRepository::new();
    away.expect_read().returning(|_| Err(StoreError::Unavailable("away".into())));
    let keeper = keeper_on(PriceSource::Builtin, Arc::new(away)).await;
    assert_eq!(input(&keeper, "claude-opus-5"), Some(5));
    assert!(matches!(keeper.hear().await, Err(StoreError::Unavailable(_))));
    let refused = keeper.set_override(&model("m"), costs(1), &root(), None).await;
    assert!(matches!(refused, Err(OperatorError::Store(StoreError::Unavailable(_)))));
}

#[tokio::test]
async fn whoever_always_comes_second_is_told_to_try_again() {
    let mut contended = MockSettingsRepository::new();
    contended.expect_read().returning(|_| Ok(None));
    contended.expect_replace().times(16).returning(|_| Ok(false));
    let keeper = keeper_on(PriceSource::Builtin, Arc::new(contended)).await;
    let refused = keeper.set_override(&model("m"), costs(1), &root(), None).await;
    assert!(matches!(refused, Err(OperatorError::Store(StoreError::Unavailable(_)))));
}

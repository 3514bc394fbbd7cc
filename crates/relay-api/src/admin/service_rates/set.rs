//! `PUT /api/v2/service-rates`

use relay_domain::{Multiplier, Service, ServiceRates};
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::view::ServiceRatesView;
use crate::admin::dollars;
use crate::admin::error::ApiError;
use crate::admin::extract::JsonBody;
use crate::admin::revision::{IfMatch, Revised};
use crate::admin::session::Session;

/// All service rates.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewServiceRates {
    /// Unless said, it stays.
    base_service: Option<ServiceName>,
    rates: NewRateOfServices,
}

/// A service.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ServiceName {
    Claude,
    Codex,
    Gemini,
    Droid,
    Bedrock,
    Azure,
    Ccr,
}

impl From<ServiceName> for Service {
    fn from(name: ServiceName) -> Self {
        match name {
            ServiceName::Claude => Self::Claude,
            ServiceName::Codex => Self::Codex,
            ServiceName::Gemini => Self::Gemini,
            ServiceName::Droid => Self::Droid,
            ServiceName::Bedrock => Self::Bedrock,
            ServiceName::Azure => Self::Azure,
            ServiceName::Ccr => Self::Ccr,
        }
    }
}

/// A rate for each service, above zero, with up to six decimals. One that is left out is 1.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct NewRateOfServices {
    #[schema(value_type = Option<f64>)]
    claude: Option<Number>,
    #[schema(value_type = Option<f64>)]
    codex: Option<Number>,
    #[schema(value_type = Option<f64>)]
    gemini: Option<Number>,
    #[schema(value_type = Option<f64>)]
    droid: Option<Number>,
    #[schema(value_type = Option<f64>)]
    bedrock: Option<Number>,
    #[schema(value_type = Option<f64>)]
    azure: Option<Number>,
    #[schema(value_type = Option<f64>)]
    ccr: Option<Number>,
}

impl NewRateOfServices {
    /// The rates, checked.
    pub(in crate::admin) fn into_rates(self) -> Result<ServiceRates, ApiError> {
        let given = [
            (Service::Claude, self.claude),
            (Service::Codex, self.codex),
            (Service::Gemini, self.gemini),
            (Service::Droid, self.droid),
            (Service::Bedrock, self.bedrock),
            (Service::Azure, self.azure),
            (Service::Ccr, self.ccr),
        ];
        let given = given.into_iter().filter_map(|(service, rate)| Some((service, rate?)));
        given.map(|(service, rate)| Ok((service, multiplier(service.name(), &rate)?))).collect()
    }
}

fn multiplier(service: &'static str, rate: &Number) -> Result<Multiplier, ApiError> {
    let read = dollars::decimal(rate).parse().ok();
    // v1 takes zero for one, so that it cannot be said.
    read.filter(|rate: &Multiplier| rate.as_micros() != 0).ok_or(ApiError::Invalid {
        field: service,
        why: "must be a number above 0 and at most 4294, with up to six decimals",
    })
}

/// Sets by how much services' costs are multiplied before they count, for every service at once.
#[utoipa::path(
    put,
    path = "/api/v2/service-rates",
    tag = "Prices",
    security(("bearerAuth" = [])),
    params(IfMatch),
    request_body = NewServiceRates,
    responses(
        (status = 200, body = ServiceRatesView, headers(("ETag" = String, description = "Their revision"))),
        IfMatch,
        ApiError,
    ),
)]
pub(super) async fn set_service_rates(
    session: Session,
    IfMatch(expected): IfMatch,
    JsonBody(record): JsonBody<NewServiceRates>,
) -> Result<Revised<ServiceRatesView>, ApiError> {
    let base = record.base_service.map(Service::from);
    let rates = record.rates.into_rates()?;
    let keeper = session.prices();
    let (written, revision) =
        keeper.set_service_rates(base, &rates, session.actor(), expected).await?;
    Ok(Revised::new(revision, written.into()))
}

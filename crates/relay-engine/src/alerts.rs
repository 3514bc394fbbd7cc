//! What an operator should hear of: kept, and told to webhooks.
//!
//! [`Alerts`] takes events from the paths of requests and never waits: each event goes into bounded queues,
//! one to the store and one to each webhook, and what finds a queue full is counted and missed. The instance
//! that saw an event tells it; what is told once a day goes to the store first, and from there to the webhooks
//! if no other instance was first. [`AlertWork`] empties the queues beside the requests.

mod address_guard;
mod counts;
mod courier;
mod form;
mod mailboxes;
mod post;
mod recorder;
mod webhook_url;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use relay_crypto::random_bytes;
use relay_domain::{Event, EventId, EventKind, RecordedEvent};
use relay_store::{EventPage, EventQuery, EventRepository, StoreError};
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::address_guard::RefusedAddress;
pub use self::counts::AlertCounts;
use self::counts::Counts;
use self::courier::Courier;
pub use self::form::EventForm;
use self::mailboxes::Mailboxes;
use self::post::Post;
use self::recorder::Recorder;
pub use self::webhook_url::{WebhookUrl, WebhookUrlError};
use crate::{Clock, EventSink};

/// How many events may wait for the store, and for each webhook.
const BACKLOG: usize = 1_000;
/// How long it may take to tell the last events when Relay stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whom to tell, and how.
#[derive(Clone)]
pub struct WebhookConfig {
    /// To where.
    pub urls: Vec<WebhookUrl>,
    /// Signs what is told.
    pub secret: SecretString,
    /// Whether a receiver may be on this machine or in a private network.
    pub allow_private: bool,
}

/// What alerts work with.
pub struct AlertParts {
    /// Where events are kept.
    pub repository: Arc<dyn EventRepository>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// `None`: events are kept and told to nobody.
    pub webhooks: Option<WebhookConfig>,
}

/// Takes events, and shows those that are kept.
pub struct Alerts {
    repository: Arc<dyn EventRepository>,
    clock: Arc<dyn Clock>,
    post: Option<Arc<Post>>,
    urls: Vec<WebhookUrl>,
    to_store: mpsc::Sender<RecordedEvent>,
    mailboxes: Arc<Mailboxes>,
    count: AtomicU16,
}

/// What is done beside the requests: writing events down and telling them.
pub struct AlertWork {
    recorder: Recorder,
    couriers: Vec<Courier>,
}

/// An event as a webhook gets it.
#[derive(Clone, Debug)]
struct Letter {
    id: EventId,
    body: Bytes,
}

impl Letter {
    fn of(event: &RecordedEvent) -> Self {
        // Numbers, texts and nothing that could fail to be JSON.
        let body = serde_json::to_vec(&EventForm::from(event)).unwrap_or_default();
        Self { id: event.id, body: body.into() }
    }
}

/// What came of trying a webhook.
#[derive(Clone, Debug)]
pub struct WebhookReport {
    /// Which, without what may be secret in its URL.
    pub url: String,
    /// The status that it answered; `None`: there was no answer.
    pub status: Option<u16>,
    /// Why it does not count as told; `None`: it does.
    pub error: Option<String>,
}

impl Alerts {
    /// The alerts, and the work that has to be done for them.
    pub fn new(parts: AlertParts) -> (Self, AlertWork) {
        let AlertParts { repository, clock, webhooks } = parts;
        let (to_store, events) = mpsc::channel(BACKLOG);
        let (mut boxes, mut couriers, mut urls) = (Vec::new(), Vec::new(), Vec::new());
        let counts = Arc::<Counts>::default();
        let mut post = None;
        if let Some(config) = webhooks {
            let shared = Arc::new(Post::new(config.secret, config.allow_private));
            for url in &config.urls {
                let (sender, letters) = mpsc::channel(BACKLOG);
                boxes.push((url.clone(), sender));
                couriers.push(Courier {
                    letters,
                    url: url.clone(),
                    post: Arc::clone(&shared),
                    clock: Arc::clone(&clock),
                    counts: Arc::clone(&counts),
                });
            }
            (urls, post) = (config.urls, Some(shared));
        }
        let count = AtomicU16::default();
        let mailboxes = Arc::new(Mailboxes { boxes, counts });
        let recorder = Recorder {
            events,
            repository: Arc::clone(&repository),
            mailboxes: Arc::clone(&mailboxes),
        };
        let alerts = Self { repository, clock, post, urls, to_store, mailboxes, count };
        (alerts, AlertWork { recorder, couriers })
    }

    /// The events that `query` asks for.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn page(&self, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.repository.page(query).await
    }

    /// How events have fared since the start.
    pub fn counts(&self) -> AlertCounts {
        self.mailboxes.counts.so_far()
    }

    /// Tells every webhook a test event, once, all at the same time.
    pub async fn test_webhooks(&self) -> Vec<WebhookReport> {
        let Some(post) = &self.post else { return Vec::new() };
        let letter =
            Letter::of(&self.named(Event { at: self.clock.now(), kind: EventKind::WebhookTest }));
        let mut trials = JoinSet::new();
        for (place, url) in self.urls.iter().cloned().enumerate() {
            let (post, letter, now) = (Arc::clone(post), letter.clone(), self.clock.now());
            trials.spawn(async move {
                let outcome = post.send(&url, &letter, now).await;
                let (status, error) = match outcome {
                    Ok(status) => (Some(status.as_u16()), None),
                    Err(error) => (error.status(), Some(error.to_string())),
                };
                (place, WebhookReport { url: url.to_string(), status, error })
            });
        }
        let mut reports = trials.join_all().await;
        reports.sort_unstable_by_key(|(place, _)| *place);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    fn named(&self, event: Event) -> RecordedEvent {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = EventId::new(event.at, count, u64::from_ne_bytes(random_bytes()));
        RecordedEvent { id, event }
    }
}

impl EventSink for Alerts {
    fn tell(&self, event: Event) {
        let event = self.named(event);
        if event.event.kind.model_of_the_day().is_none() {
            self.mailboxes.post(&event);
        }
        if self.to_store.try_send(event).is_err() {
            self.mailboxes.miss("the store");
        }
    }
}

impl AlertWork {
    /// Works until `closing`, and then until what waits has been told once more, for a few seconds at most.
    pub async fn run(self, closing: CancellationToken) {
        let Self { recorder, couriers } = self;
        let mut work = JoinSet::new();
        let until = closing.clone();
        work.spawn(async move { recorder.run(until).await });
        for courier in couriers {
            let until = closing.clone();
            work.spawn(async move { courier.run(until).await });
        }
        closing.cancelled().await;
        let all = async { while work.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("stopping with events that could not be told or kept");
        }
    }
}

/// The next of what waits in `queue`. After `closing` nothing new comes in, and `None` means that it is empty.
async fn next_of<T>(queue: &mut mpsc::Receiver<T>, closing: &CancellationToken) -> Option<T> {
    tokio::select! {
        biased;
        () = closing.cancelled() => {
            queue.close();
            queue.recv().await
        }
        next = queue.recv() => next,
    }
}

#[cfg(test)]
mod tests;

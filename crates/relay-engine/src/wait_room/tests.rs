use super::*;

fn key(id: &str) -> KeyId {
    KeyId::try_from(id).unwrap()
}

fn of_key(id: &str) -> Hall {
    Hall::Slots(LimitScope::Key(key(id)))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

#[tokio::test(start_paused = true)]
async fn a_line_is_bounded_and_keeps_its_order() {
    let room = Arc::new(WaitRoom::default());
    let first = room.enter(of_key("k"), &key("k"), 2).unwrap();
    let second = room.enter(of_key("k"), &key("k"), 2).unwrap();
    assert!(room.enter(of_key("k"), &key("k"), 2).is_none(), "full");
    assert!(room.enter(of_key("k"), &key("other"), 2).is_some(), "another key has its own line");
    room.wake(&of_key("k"), &key("k"));
    assert!(first.turn(soon(), Obstacle::Shared).await);
    let early = second.turn(soon(), Obstacle::Unknown);
    assert!(tokio::time::timeout(Duration::from_secs(5), early).await.is_err(), "nobody passes");
    drop(first);
    assert!(second.turn(soon(), Obstacle::Unknown).await, "the next moves up at once");
    drop(second);
    assert!(!room.has_line(&of_key("k")));
    assert!(room.halls().is_empty() && room.waiting() == 0, "empty lines are not kept");
}

#[tokio::test(start_paused = true)]
async fn the_first_looks_by_itself_and_a_deadline_ends_it() {
    let room = Arc::new(WaitRoom::default());
    let first = room.enter(of_key("k"), &key("k"), 9).unwrap();
    let second = room.enter(of_key("k"), &key("k"), 9).unwrap();
    for obstacle in [Obstacle::Shared, Obstacle::ItsOwn] {
        let began = Instant::now();
        assert!(first.turn(soon(), obstacle).await);
        assert_eq!(began.elapsed(), LOOKS_EVERY);
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    assert!(!second.turn(deadline, Obstacle::Unknown).await);
    assert_eq!(Instant::now(), deadline);
    assert!(!first.turn(deadline, Obstacle::Unknown).await, "it has passed");
}

/// Who may ask now, of those who were kept out by what all wait for.
async fn asks(places: &[Option<Place>]) -> Option<usize> {
    for (index, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        if tokio::time::timeout(Duration::ZERO, place.turn(soon(), Obstacle::Shared)).await
            == Ok(true)
        {
            return Some(index);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn keys_take_turns_in_a_hall_however_long_their_lines_are() {
    let room = Arc::new(WaitRoom::default());
    let keys = ["a", "a", "a", "a", "b", "b", "c"];
    let mut places: Vec<_> =
        keys.iter().map(|id| room.enter(Hall::Accounts, &key(id), 9)).collect();
    let mut served = Vec::new();
    while room.has_line(&Hall::Accounts) {
        // Requests of the first key end; it has no claim to what becomes free.
        room.wake(&Hall::Accounts, &key("a"));
        let index = asks(&places).await.unwrap();
        served.push(keys[index]);
        places[index].take().unwrap().served();
    }
    assert_eq!(served, ["a", "b", "c", "a", "b", "a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_kept_out_by_its_own_limit_lets_others_ask() {
    let room = Arc::new(WaitRoom::default());
    let group = Hall::Accounts;
    let [a, b] = ["a", "b"].map(|id| room.enter(group.clone(), &key(id), 9).unwrap());
    room.wake(&group, &key("a"));
    assert!(a.turn(soon(), Obstacle::Shared).await);
    let began = Instant::now();
    let (_, asked) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(1), a.turn(soon(), Obstacle::ItsOwn)),
        b.turn(soon(), Obstacle::Unknown)
    );
    assert!(asked && began.elapsed() <= Duration::from_millis(1), "at once");
    // What becomes free for all is the other's now; what is free for the first's key is its own.
    room.wake(&group, &key("b"));
    assert!(tokio::time::timeout(Duration::ZERO, a.turn(soon(), Obstacle::Shared)).await.is_err());
    assert!(b.turn(soon(), Obstacle::Shared).await);
    room.wake(&group, &key("a"));
    assert!(a.turn(soon(), Obstacle::Shared).await);
}

#[tokio::test(start_paused = true)]
async fn everyone_who_is_first_asks_in_turn_for_a_free_account() {
    let room = Arc::new(WaitRoom::default());
    let places = ["a", "b"].map(|id| room.enter(Hall::Accounts, &key(id), 9).unwrap());
    let account = AccountId::try_from("busy").unwrap();
    assert!(!room.is_awaited(&account));
    places[1].wants(vec![account.clone()]);
    assert!(room.is_awaited(&account));
    for _ in 0..2 {
        room.wake_all(&Hall::Accounts);
        for place in &places {
            let began = Instant::now();
            assert!(place.turn(soon(), Obstacle::Shared).await);
            assert_eq!(began.elapsed(), Duration::ZERO);
            place.give_way();
        }
    }
    drop(places);
    assert!(!room.is_awaited(&account));
}

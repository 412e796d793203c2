use super::*;

#[test]
fn a_neighbour_that_nobody_waits_for_is_asked_for_once_until_it_answers_or_is_absent() {
    let limits = Limits::default();
    let mut counters = SlowPathCounters::default();
    let key = (UidbIndex(3), IpAddr::from([192, 0, 2, 2]));
    let mut neighbours = Neighbours::new(&limits);
    let mut asked = |now| {
        let mut step = Step::new(now, &limits, &mut counters);
        neighbours.expire(&mut step);
        neighbours.look_for(&mut step, key);
        step.into_events().iter().filter(|event| matches!(event, Event::Ask(..))).count()
    };
    assert_eq!(asked(Nanos::ZERO), 1);
    assert_eq!(asked(Nanos::from_millis(500)), 0);
    let seconds: Vec<usize> = (1..8).map(|second| asked(Nanos::from_secs(second))).collect();
    // Two more requests, three seconds of silence, and then anew.
    assert_eq!(seconds, [1, 1, 0, 0, 0, 1, 1]);
}

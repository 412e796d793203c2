//! What an operator and a routing daemon ask of the client, and what they hear.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::mpsc::Receiver;

use ipnet::{IpNet, Ipv4Net};
use qfp::client::ListEdit;
use qfp::client::acl::{Document, Family};
use qfp::client::config::{Config, ConfigError};
use qfp::client::rib::{Action, NextHop, Path, RouteUpdate, Source};
use qfp::stepped::Control;
use qfp_core::uidb::TableId;
use rand::Rng;

use crate::configuration::{Choice, DENIABLE};
use crate::model::{Hop, Prefix, Routes, State};
use crate::world::World;

/// Something that is wanted.
pub(crate) enum Wanted {
    /// A configuration; none where it is a wrong one.
    Commit(Option<Choice>),
    /// Routes that are there from now on; without hops, no more.
    Routes(Vec<(Prefix, Vec<Hop>)>),
    /// Whether the list denies one of its ports.
    Edit(usize, bool),
}

/// The answer, once there is one: why it was refused, if it was.
type Answer = Box<dyn Fn() -> Option<Result<(), String>>>;

fn answer<T: 'static, E: Display + 'static>(answers: Receiver<Result<T, E>>) -> Answer {
    Box::new(move || {
        let answer = answers.try_recv().ok()?;
        Some(answer.map(drop).map_err(|error| error.to_string()))
    })
}

/// What was asked for and not answered yet, oldest first.
pub(crate) type Waiting = VecDeque<(Wanted, Option<Answer>)>;

impl Wanted {
    /// What is in force once it is done.
    fn done(&self, before: &State) -> State {
        let State { mut choice, learnt, .. } = before.clone();
        match self {
            Self::Commit(Some(wanted)) => State::new(wanted.clone(), learnt),
            Self::Commit(None) => before.clone(),
            Self::Routes(changes) => {
                let mut routes = Routes::clone(&learnt);
                for (prefix, hops) in changes {
                    if hops.is_empty() {
                        routes.remove(prefix);
                    } else {
                        routes.insert(*prefix, hops.clone());
                    }
                }
                State::new(choice, Rc::new(routes))
            }
            Self::Edit(n, denied) => {
                choice.denied[*n] = *denied;
                State::new(choice, learnt)
            }
        }
    }
}

/// Prefixes of the other source's routes.
const PREFIXES: [([u8; 4], u8); 7] = [
    ([20, 1, 0, 0], 16),
    ([20, 1, 128, 0], 17),
    ([20, 2, 0, 0], 16),
    ([20, 2, 0, 0], 15),
    ([20, 3, 3, 0], 24),
    ([20, 3, 3, 3], 32),
    ([20, 3, 3, 128], 25),
];

impl World {
    pub(crate) fn commit(self: &Rc<Self>) {
        let wrong = self.chance(0.25);
        let (choice, config) = {
            let mut random = self.random.borrow_mut();
            let choice = Choice::random(&mut random);
            let config = if wrong { choice.refused(&mut random) } else { choice.config() };
            (choice, config)
        };
        self.commit_config(config, (!wrong).then_some(choice));
    }

    /// Commits that configuration.
    pub(crate) fn commit_this(self: &Rc<Self>, choice: Choice) {
        self.commit_config(choice.config(), Some(choice));
    }

    fn commit_config(self: &Rc<Self>, config: Result<Config, ConfigError>, wanted: Option<Choice>) {
        let config = match config {
            Ok(config) => config,
            Err(error) => return self.fail(format!("a configuration is wrong: {error}")),
        };
        self.note(|| format!("commit of {wanted:?}"));
        let now = self.now.get();
        self.ask("a commit", Wanted::Commit(wanted), |control| answer(control.commit(now, config)));
    }

    pub(crate) fn change_routes(self: &Rc<Self>) {
        let changes: Vec<(Prefix, Vec<Hop>)> = {
            let mut random = self.random.borrow_mut();
            let count = random.random_range(1..=4);
            let change = |_| {
                let (address, len) = PREFIXES[random.random_range(0..PREFIXES.len())];
                let count = random.random_range(0..3);
                let mut hops: Vec<Hop> = (0..count).map(|_| Hop::random(&mut random)).collect();
                hops.sort_unstable();
                hops.dedup();
                // A route that leads nowhere has no other paths.
                if hops.contains(&Hop::Drop) {
                    hops = vec![Hop::Drop];
                }
                (Prefix::new(address, len), hops)
            };
            (0..count).map(change).collect()
        };
        self.set_routes(changes);
    }

    /// Every route of the other source goes.
    pub(crate) fn withdraw_all(self: &Rc<Self>) {
        let all = PREFIXES.map(|(address, len)| (Prefix::new(address, len), Vec::new()));
        self.set_routes(all.to_vec());
    }

    fn set_routes(self: &Rc<Self>, changes: Vec<(Prefix, Vec<Hop>)>) {
        self.note(|| {
            let change = |(prefix, hops): &(Prefix, _)| format!(" {prefix} {hops:?}");
            format!("routes:{}", changes.iter().map(change).collect::<String>())
        });
        let updates = changes.iter().map(|(prefix, hops)| update(*prefix, hops)).collect();
        let (now, wanted) = (self.now.get(), Wanted::Routes(changes));
        self.ask("a batch of routes", wanted, |control| answer(control.routes(now, updates)));
    }

    pub(crate) fn edit_list(self: &Rc<Self>) {
        let (n, denied) = (usize::from(self.chance(0.5)), self.chance(0.5));
        let (verb, port) = (if denied { "deny" } else { "permit" }, DENIABLE[n]);
        let text = format!("ip access-list extended X\n 1 {verb} udp any any eq {port}\n");
        let document = match Document::parse(&text) {
            Ok(document) => document,
            Err(error) => return self.fail(format!("a list is wrong: {error}")),
        };
        let list = document.lists().next();
        let Some(ace) = list.and_then(|list| list.aces().next()).map(|(_, ace)| ace.clone()) else {
            return;
        };
        self.note(|| format!("edit: {verb} {port}"));
        let edits = vec![ListEdit::Replace(10 * (u32::from(n == 1) + 1), ace)];
        let (now, list) = (self.now.get(), (Family::V4, "FILTER"));
        self.ask("an edit", Wanted::Edit(n, denied), |control| {
            answer(control.edit_list(now, list, edits))
        });
    }

    fn ask(self: &Rc<Self>, what: &str, wanted: Wanted, ask: impl FnOnce(&mut Control) -> Answer) {
        if self.control.try_borrow().map_or(true, |control| control.is_none()) {
            return;
        }
        // It has its place before lcores see anything of it.
        self.waiting.borrow_mut().push_back((wanted, None));
        let world = Rc::clone(self);
        self.call(what, move |control| {
            let answer = ask(control);
            if let Some((_, place)) = world.waiting.borrow_mut().back_mut() {
                *place = Some(answer);
            }
        });
    }

    /// Takes in what was answered in the last call. Of what a client that has died in it was asked, any
    /// part may have been done.
    pub(crate) fn hear_answers(&self, died: bool, refused: bool) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some((wanted, answer)) = waiting.front() {
            let answer = answer.as_ref().and_then(|answer| answer());
            if answer.is_none() && !died {
                return;
            }
            let mut model = self.model.borrow_mut();
            let next = wanted.done(model.now());
            let wrong = matches!(wanted, Wanted::Commit(None));
            match answer {
                Some(Ok(())) if wrong => self.fail("a wrong configuration is taken".to_owned()),
                Some(Ok(())) => {
                    if let Wanted::Commit(Some(choice)) = wanted {
                        model.confirm(choice.clone());
                    }
                    model.push(next);
                }
                Some(Err(why)) => {
                    self.note(|| format!("refused: {why}"));
                    if !wrong && !refused && !why.contains("behind") && !why.contains("waiting") {
                        self.fail(format!("refused for nothing: {why}"));
                    }
                }
                None => model.push_perhaps(next),
            }
            waiting.pop_front();
        }
    }
}

fn update(prefix: Prefix, hops: &[Hop]) -> RouteUpdate {
    let (address, len) = prefix.parts();
    let net = Ipv4Net::new_assert(address, len);
    let path = |hop: &Hop| {
        let via = |address| NextHop::Via { address: IpAddr::V4(address), interface: None };
        Path { hop: hop.address().map_or(NextHop::Drop, via), weight: 1 }
    };
    let paths: Vec<Path> = hops.iter().map(path).collect();
    let action = if paths.is_empty() { Action::Withdraw } else { Action::Replace(paths.into()) };
    RouteUpdate { table: TableId::GLOBAL, prefix: IpNet::V4(net), source: Source::API, action }
}

//! IOS, IOS XE and IOS XR text to the model, line by line.
//!
//! A line belongs to what was opened last, if it is one of its lines; else it closes that and
//! belongs to what is around it. Indentation does not count.

mod actions;
mod class;
mod police;
mod queueing;
mod set;
mod units;

use std::collections::{HashMap, HashSet};

use self::police::OpenPolice;
use super::class::is_default;
use super::{ClassMap, Fault, Limits, Logic, Policies, PolicyError, PolicyMap, PolicyPlace};
use crate::acl::Name;
use crate::ios::{Cursor, TextError, What, lines};

type Words<'l, 'a> = Cursor<'l, 'a>;

/// What the lines of a mode belong to.
enum Mode {
    Top,
    Class(Name),
    Policy(Name),
    /// A class of a policy.
    Actions(Name, Name),
    /// The policer of a class.
    Police(Name, Name, OpenPolice),
}

struct Parser<'t> {
    limits: &'t Limits,
    policies: Policies,
    mode: Mode,
    /// Line and column where things were last opened.
    places: HashMap<PolicyPlace, (usize, usize)>,
    /// Actions that the text has for a class of a policy already.
    given: HashSet<(Name, Name, &'static str)>,
}

/// The policies with a text applied to them, and checked.
pub(super) fn applied(
    policies: &Policies,
    text: &str,
    limits: &Limits,
) -> Result<Policies, TextError> {
    let mut parser = Parser {
        limits,
        policies: policies.clone(),
        mode: Mode::Top,
        places: HashMap::new(),
        given: HashSet::new(),
    };
    let mut last = 1;
    for line in lines(text) {
        let mut words = line.cursor();
        parser.line(&mut words)?;
        words.end()?;
        last = line.number;
    }
    let Parser { policies, places, .. } = parser;
    match policies.check(limits) {
        Ok(()) => Ok(policies),
        Err(error) => Err(placed(error, &places, last)),
    }
}

/// The fault at the line that opened where it is; at the `last` line if none has.
fn placed(
    error: PolicyError,
    places: &HashMap<PolicyPlace, (usize, usize)>,
    last: usize,
) -> TextError {
    let around = match &error.place {
        PolicyPlace::Class(policy, _) => PolicyPlace::PolicyMap(policy.clone()),
        place => place.clone(),
    };
    let place = places.get(&error.place).or_else(|| places.get(&around));
    let (line, column) = place.copied().unwrap_or((last, 1));
    TextError { line, column, what: What::refused(error) }
}

impl Parser<'_> {
    fn line(&mut self, words: &mut Words) -> Result<(), TextError> {
        if words.take("class-map") {
            self.mode = Mode::Class(self.class_map(words)?);
            return Ok(());
        }
        if words.take("policy-map") {
            let name = typed_name(words, "the name of a policy map")?;
            self.place(words, PolicyPlace::PolicyMap(name.clone()));
            if self.policies.policy(name.as_str()).is_none() {
                self.policies.insert_policy(PolicyMap::new(name.clone()));
            }
            self.mode = Mode::Policy(name);
            return Ok(());
        }
        if words.take("no") {
            return self.delete(words);
        }
        if words.take("end") || words.take("end-class-map") || words.take("end-policy-map") {
            self.mode = Mode::Top;
            return Ok(());
        }
        match std::mem::replace(&mut self.mode, Mode::Top) {
            mode if words.sees("exit") => {
                words.take("exit");
                self.mode = mode.around();
                Ok(())
            }
            Mode::Top => Err(unknown(words)),
            Mode::Class(name) => {
                let class = self.policies.class_mut(&name).ok_or_else(|| unknown(words))?;
                if words.sees("description") {
                    class.description = Some(description(words)?);
                } else {
                    words.take("match").then_some(()).ok_or_else(|| unknown(words))?;
                    let before = words.clone();
                    let criterion = class::criterion(words)?;
                    if class.matches.contains(&criterion) {
                        // As in a text that is applied again.
                    } else if class.matches.len() < self.limits.matches {
                        class.matches.push(criterion);
                    } else {
                        return Err(too_many(&before, "matches", self.limits.matches));
                    }
                }
                self.mode = Mode::Class(name);
                Ok(())
            }
            Mode::Police(policy, class, mut police) if police.has(words) => {
                police.line(words)?;
                self.put_police(words, policy, class, police)
            }
            Mode::Police(policy, class, _) | Mode::Actions(policy, class)
                if !words.sees("class") =>
            {
                self.action(words, policy, class)
            }
            Mode::Police(policy, ..) | Mode::Actions(policy, _) | Mode::Policy(policy) => {
                self.policy_line(words, policy)
            }
        }
    }

    /// `class-map [type qos] [match-any|match-all] NAME`.
    fn class_map(&mut self, words: &mut Words) -> Result<Name, TextError> {
        type_qos(words)?;
        let logics = [("match-any", Logic::Any), ("match-all", Logic::All)];
        // A class may have the name of a keyword.
        let logic = words.peek_second().and_then(|_| words.take_of(&logics));
        let before = words.clone();
        let name: Name = words.parsed("the name of a class map")?;
        self.place(&before, PolicyPlace::ClassMap(name.clone()));
        match self.policies.class(name.as_str()) {
            Some(class) if logic.is_some_and(|logic| logic != class.logic) => {
                Err(before.error(What::refused(OtherLogic(class.name.clone(), class.logic))))
            }
            Some(_) => Ok(name),
            None => {
                let class = ClassMap::new(name.clone(), logic.unwrap_or(Logic::All));
                self.policies.insert_class(class);
                Ok(name)
            }
        }
    }

    /// `class NAME` or `description TEXT` in a policy.
    fn policy_line(&mut self, words: &mut Words, name: Name) -> Result<(), TextError> {
        let policy = self.policies.policy_mut(&name).ok_or_else(|| unknown(words))?;
        if words.sees("description") {
            policy.description = Some(description(words)?);
            self.mode = Mode::Policy(name);
            return Ok(());
        }
        if !words.take("class") {
            return Err(unknown(words));
        }
        type_qos(words)?;
        let before = words.clone();
        let class: Name = words.parsed("the name of a class")?;
        let most = self.limits.classes.max(self.limits.child_classes);
        policy.open(&class);
        if policy.classes.len() > most {
            return Err(too_many(&before, "classes", most));
        }
        let in_place = if is_default(&class) { super::CLASS_DEFAULT } else { class.as_str() };
        self.place(&before, PolicyPlace::Class(name.clone(), in_place.to_owned()));
        self.mode = Mode::Actions(name, class);
        Ok(())
    }

    /// `no class-map NAME` or `no policy-map NAME`. One that is not there is deleted already.
    fn delete(&mut self, words: &mut Words) -> Result<(), TextError> {
        self.mode = Mode::Top;
        if words.take("class-map") {
            type_qos(words)?;
            let logics = [("match-any", ()), ("match-all", ())];
            let _ = words.peek_second().and_then(|_| words.take_of(&logics));
            let name: Name = words.parsed("the name of a class map")?;
            self.policies.remove_class(name.as_str());
            return Ok(());
        }
        if words.take("policy-map") {
            let name = typed_name(words, "the name of a policy map")?;
            self.policies.remove_policy(name.as_str());
            self.given.retain(|(policy, ..)| *policy != name);
            return Ok(());
        }
        Err(words.expected("class-map or policy-map"))
    }

    /// Notes where something was opened.
    fn place(&mut self, words: &Words, place: PolicyPlace) {
        let line = words.line();
        self.places.insert(place, (line.number, line.indent() + 1));
    }
}

impl Mode {
    fn around(self) -> Self {
        match self {
            Self::Top | Self::Class(_) | Self::Policy(_) => Self::Top,
            Self::Actions(policy, _) => Self::Policy(policy),
            Self::Police(policy, class, _) => Self::Actions(policy, class),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("class-map {0} is there, and is {word}", word = match .1 {
    Logic::Any => "match-any",
    Logic::All => "match-all",
})]
struct OtherLogic(Name, Logic);

/// Takes `type qos` before a name; other types are not supported.
fn type_qos(words: &mut Words) -> Result<(), TextError> {
    if !words.sees("type") || words.peek_second().is_none() {
        return Ok(());
    }
    words.take("type");
    if words.take("qos") { Ok(()) } else { Err(words.not_supported()) }
}

fn typed_name(words: &mut Words, wants: &'static str) -> Result<Name, TextError> {
    type_qos(words)?;
    words.parsed(wants)
}

fn description(words: &mut Words) -> Result<crate::ios::Description, TextError> {
    words.take("description");
    let before = words.clone();
    let text = words.rest();
    if text.is_empty() {
        return Err(before.expected("a description"));
    }
    text.parse().map_err(|error| before.error(What::refused(error)))
}

/// More than there can be. Said at once, as what follows would take ever longer to read.
fn too_many(words: &Words, what: &'static str, max: usize) -> TextError {
    words.error(What::refused(Fault::TooMany { what, max }))
}

/// The line begins no command.
fn unknown(words: &Words) -> TextError {
    let word = words.peek().map(|word| word.text.to_owned()).unwrap_or_default();
    words.error(What::UnknownCommand(word))
}

/// The next word is one of `known`, and not supported, or none that can stand here.
fn refusal(words: &Words, known: &[&str], wants: &'static str) -> TextError {
    let named = words.peek().is_some_and(|word| known.iter().any(|name| word.is(name)));
    if named { words.not_supported() } else { words.expected(wants) }
}

//! Policers.

use qfp_core::qos::police::Rate;

use super::units::{BITS, rate, size};
use super::{Words, refusal, set};
use crate::ios::{TextError, What};
use crate::mqc::{Beyond, Burst, ColourClasses, Fault, Mark, Outcome, Police, Size};

/// Actions of policers elsewhere.
const OTHER_ACTIONS: &[&str] = &[
    "policed-dscp-transmit",
    "set-clp-transmit",
    "set-dscp-tunnel-transmit",
    "set-frde-transmit",
    "set-prec-tunnel-transmit",
];

/// A policer while its lines are read.
pub(super) struct OpenPolice {
    rate: Rate,
    burst: Option<Burst>,
    peak: Option<Rate>,
    beyond: Option<Burst>,
    /// By colour.
    outcomes: [Option<Outcome>; 3],
    colours: Option<ColourClasses>,
    child_conform_aware: bool,
}

const ACTIONS: &[(&str, usize)] =
    &[("conform-action", 0), ("exceed-action", 1), ("violate-action", 2)];

impl OpenPolice {
    /// What follows `police`: a rate, bursts, a peak rate, actions.
    pub(super) fn read(words: &mut Words) -> Result<Self, TextError> {
        if !words.take("rate") {
            words.take("cir");
        }
        let mut police = Self {
            rate: rate(words, BITS)?,
            burst: None,
            peak: None,
            beyond: None,
            outcomes: [None, None, None],
            colours: None,
            child_conform_aware: false,
        };
        while !words.is_at_end() {
            police.option(words)?;
        }
        Ok(police)
    }

    fn option(&mut self, words: &mut Words) -> Result<(), TextError> {
        let before = words.clone();
        let place = if words.sees_number() {
            // Without keywords: the committed burst, then the excess burst.
            if self.burst.is_none() { &mut self.burst } else { &mut self.beyond }
        } else if words.take("bc") || words.take("burst") {
            &mut self.burst
        } else if words.take("be") || words.take("peak-burst") {
            &mut self.beyond
        } else if words.take("pir") || words.take("peak-rate") {
            if self.peak.replace(rate(words, BITS)?).is_some() {
                return Err(twice(&before));
            }
            return Ok(());
        } else if self.has(words) {
            return self.line(words);
        } else {
            return Err(words.expected("a burst, a peak rate or an action"));
        };
        let burst = burst(words, matches!(self.rate, Rate::Packets(_)))?;
        if place.replace(burst).is_some() {
            return Err(twice(&before));
        }
        Ok(())
    }

    /// Whether a line of its mode follows.
    pub(super) fn has(&self, words: &Words) -> bool {
        let known = ["conform-color", "child-conform-aware"];
        known.iter().chain(ACTIONS.iter().map(|(name, _)| name)).any(|name| words.sees(name))
    }

    /// A line of its mode.
    pub(super) fn line(&mut self, words: &mut Words) -> Result<(), TextError> {
        let before = words.clone();
        if words.take("child-conform-aware") {
            let again = std::mem::replace(&mut self.child_conform_aware, true);
            return if again { Err(twice(&before)) } else { Ok(()) };
        }
        if words.take("conform-color") {
            let wants = "the name of a class map";
            let conform = words.parsed(wants)?;
            let exceed = match words.take("exceed-color") {
                true => Some(words.parsed(wants)?),
                false => None,
            };
            let again = self.colours.replace(ColourClasses { conform, exceed }).is_some();
            return if again { Err(twice(&before)) } else { Ok(()) };
        }
        let colour = words.one_of("a policer's action", ACTIONS)?;
        let before = words.clone();
        let outcome = self.outcomes.get_mut(colour).map(|own| (own.take(), own));
        let Some((was, own)) = outcome else { return Ok(()) };
        *own = Some(match (was, action(words)?) {
            (None | Some(Outcome::Drop), Outcome::Drop) => Outcome::Drop,
            (None, action) => action,
            (Some(Outcome::Transmit(mut marks)), Outcome::Transmit(more)) => {
                marks.extend(more);
                Outcome::Transmit(marks)
            }
            _ => return Err(before.error(What::refused(Fault::DroppedAndTransmitted))),
        });
        Ok(())
    }

    /// The policer as it has been said so far.
    pub(super) fn police(&self) -> Police {
        let [conform, exceed, violate] = self.outcomes.clone();
        let exceed = exceed.unwrap_or(Outcome::Drop);
        let burst = self.burst.unwrap_or_default();
        let three = violate.is_some() || self.peak.is_some() || self.beyond.is_some();
        let beyond = three.then(|| Beyond {
            peak: self.peak,
            burst: self.beyond.unwrap_or(burst.inherited()),
            violate: violate.unwrap_or_else(|| exceed.clone()),
        });
        Police {
            rate: self.rate,
            burst,
            beyond,
            conform: conform.unwrap_or(Outcome::Transmit(Vec::new())),
            exceed,
            colours: self.colours.clone(),
            child_conform_aware: self.child_conform_aware,
        }
    }
}

/// `transmit`, `drop`, `set dscp ef`, `set-dscp-transmit ef`.
fn action(words: &mut Words) -> Result<Outcome, TextError> {
    if words.take("drop") {
        return Ok(Outcome::Drop);
    }
    if words.take("transmit") {
        return Ok(Outcome::Transmit(Vec::new()));
    }
    let mark: Option<Result<Mark, TextError>> =
        if words.take("set") { Some(set::mark(words)) } else { set::transmit(words) };
    match mark {
        Some(mark) => Ok(Outcome::Transmit(vec![mark?])),
        None => Err(refusal(words, OTHER_ACTIONS, "transmit, drop or a mark")),
    }
}

/// A number with a unit, bytes or packets without one; `auto` or `auto 250ms`.
fn burst(words: &mut Words, packets: bool) -> Result<Burst, TextError> {
    if words.take("auto") {
        if words.take("250ms") {
            return Ok(Burst::Auto250Ms);
        }
        if words.sees("250") {
            words.number::<u16>("250 ms", 250..=250)?;
            words.expect("ms")?;
            return Ok(Burst::Auto250Ms);
        }
        return Ok(Burst::Default);
    }
    let plain = if packets { Size::Packets } else { Size::Bytes };
    Ok(Burst::Size(size(words, "a burst", plain)?))
}

fn twice(words: &Words) -> TextError {
    let word = words.peek().map(|word| word.text.to_ascii_lowercase()).unwrap_or_default();
    words.error(What::Twice(word))
}

//! Queueing actions.

use super::units::{BITS, KILOBITS, numbers_in_word, share, size};
use super::{Words, refusal};
use crate::ios::names::{DSCP, PRECEDENCE};
use crate::ios::{TextError, What};
use crate::mqc::check::{FAIR_QUEUES, MAX_PRIORITY, MAX_RATIO, MAX_WEIGHT};
use crate::mqc::{
    Curve, FairQueue, Fault, Numbers, Priority, QueueLimit, Queueing, RandomDetect, Remaining,
    Selector, Shape, ShapeKind, Size,
};

/// Every field by its keyword.
const SELECTORS: &[(&str, Selector)] = &[
    ("dscp", Selector::Dscp),
    ("precedence", Selector::Precedence),
    ("prec", Selector::Precedence),
    ("cos", Selector::Cos),
    ("exp", Selector::Exp),
    ("discard-class", Selector::DiscardClass),
];

const BASES: &[(&str, Option<Selector>)] = &[
    ("dscp-based", Some(Selector::Dscp)),
    ("precedence-based", Some(Selector::Precedence)),
    ("prec-based", Some(Selector::Precedence)),
    ("cos-based", Some(Selector::Cos)),
    ("exp-based", Some(Selector::Exp)),
    ("discard-class-based", Some(Selector::DiscardClass)),
    ("default", None),
];

/// The action that the line is about, if it is one; inside, its name if it may be said only once.
pub(super) fn keyword(words: &Words) -> Option<Option<&'static str>> {
    if words.sees("bandwidth") && words.peek_second().is_some_and(|word| word.is("remaining")) {
        return Some(Some("bandwidth remaining"));
    }
    let once = ["priority", "bandwidth", "shape", "fair-queue"];
    if let Some(name) = once.into_iter().find(|name| words.sees(name)) {
        return Some(Some(name));
    }
    (words.sees("queue-limit") || words.sees("random-detect")).then_some(None)
}

/// The line of an action.
pub(super) fn line(words: &mut Words, queueing: &mut Queueing) -> Result<(), TextError> {
    if words.take("priority") {
        queueing.priority = Some(priority(words)?);
    } else if words.take("bandwidth") {
        if words.take("remaining") {
            queueing.remaining = Some(remaining(words)?);
        } else {
            queueing.bandwidth = Some(share(words, KILOBITS)?);
        }
    } else if words.take("shape") {
        queueing.shape = Some(shape(words)?);
    } else if words.take("queue-limit") {
        let limit = queue_limit(words)?;
        queueing.queue_limits.retain(|own| own.of != limit.of);
        queueing.queue_limits.push(limit);
    } else if words.take("random-detect") {
        let mut detect = queueing.random_detect.take();
        random_detect(words, &mut detect)?;
        queueing.random_detect = detect;
    } else {
        words.expect("fair-queue")?;
        let queues = match words.is_at_end() {
            true => None,
            false => Some(words.number("a number of queues", FAIR_QUEUES)?),
        };
        queueing.fair_queue = Some(FairQueue { queues });
    }
    Ok(())
}

/// `[level N] [percent N|KILOBITS [BYTES]]`.
fn priority(words: &mut Words) -> Result<Priority, TextError> {
    let level = match words.take("level") {
        true => words.number("a priority level", 1..=MAX_PRIORITY)?,
        false => 1,
    };
    let limit = match words.is_at_end() {
        true => None,
        false => Some(share(words, KILOBITS)?),
    };
    let burst = match words.is_at_end() {
        true => None,
        false => Some(words.number("a burst in bytes", 1..=u32::MAX)?),
    };
    Ok(Priority { level, limit, burst })
}

fn remaining(words: &mut Words) -> Result<Remaining, TextError> {
    if words.take("ratio") {
        return Ok(Remaining::Ratio(words.number("a ratio", 1..=MAX_RATIO)?));
    }
    if !words.sees("percent") {
        return Err(words.expected("ratio or percent"));
    }
    match share(words, BITS)? {
        crate::mqc::Share::Percent(percent) => Ok(Remaining::Percent(percent)),
        crate::mqc::Share::Bits(_) => Err(words.expected("a percentage")),
    }
}

/// `average|peak RATE [BC [BE]]`.
fn shape(words: &mut Words) -> Result<Shape, TextError> {
    let kinds = [("average", ShapeKind::Average), ("peak", ShapeKind::Peak)];
    if words.sees("adaptive") || words.sees("fecn-adapt") || words.sees("max-buffers") {
        return Err(words.not_supported());
    }
    let kind = words.one_of("average or peak", &kinds)?;
    let rate = share(words, BITS)?;
    let mut burst = |keyword| {
        words.take(keyword);
        match words.is_at_end() {
            true => Ok(None),
            false if words.sees("account") => Err(words.not_supported()),
            false => size(words, "a burst", Size::Bits).map(Some),
        }
    };
    let bc = burst("bc")?;
    let be = burst("be")?;
    Ok(Shape { kind, rate, bc, be })
}

/// `[FIELD VALUES] SIZE`.
fn queue_limit(words: &mut Words) -> Result<QueueLimit, TextError> {
    if words.sees("atm-clp") || words.sees("qos-group") {
        return Err(words.not_supported());
    }
    let of = match words.take_of(SELECTORS) {
        Some(selector) => Some((selector, values(words, selector)?)),
        None => None,
    };
    Ok(QueueLimit { of, size: size(words, "a queue limit", Size::Packets)? })
}

fn values(words: &mut Words, selector: Selector) -> Result<Numbers, TextError> {
    let (wants, names): (_, &[_]) = match selector {
        Selector::Dscp => ("a DSCP", DSCP),
        Selector::Precedence => ("a precedence", PRECEDENCE),
        Selector::Cos => ("a class of service", &[]),
        Selector::Exp => ("experimental bits", &[]),
        Selector::DiscardClass => ("a discard class", &[]),
    };
    numbers_in_word(words, wants, 0..=selector.max(), names)
}

/// The base, a parameter, or thresholds: `[FIELD VALUES] MIN MAX [[probability] N]`.
fn random_detect(words: &mut Words, detect: &mut Option<RandomDetect>) -> Result<(), TextError> {
    let before = words.clone();
    if words.is_at_end() {
        // As in IOS, where precedence is what it goes by unless it goes by something else already.
        if detect.is_none() {
            *detect = Some(based_on(Some(Selector::Precedence)));
        }
        return Ok(());
    }
    if let Some(by) = words.take_of(BASES) {
        return base(&before, detect, by);
    }
    let parameter = based_on(Some(Selector::Precedence));
    if words.take("ecn") {
        detect.get_or_insert(parameter).ecn = true;
        return Ok(());
    }
    if words.take("exponential-weighting-constant") {
        let weight = words.number("a weight", 1..=MAX_WEIGHT)?;
        detect.get_or_insert(parameter).weight = Some(weight);
        return Ok(());
    }
    let selector = words.take_of(SELECTORS);
    if selector.is_none() && !words.sees_number() {
        let others = ["atm-clp", "aggregate", "clp", "flow", "qos-group"];
        return Err(refusal(words, &others, "a field or thresholds"));
    }
    base(&before, detect, selector)?;
    let of = match selector {
        Some(selector) => Some(values(words, selector)?),
        None => None,
    };
    let min = size(words, "the least threshold", Size::Packets)?;
    let max = size(words, "the greatest threshold", Size::Packets)?;
    let said = words.take("probability");
    let denominator = match words.is_at_end() && !said {
        true => None,
        false => Some(words.number("a mark probability", 1..=u16::MAX)?),
    };
    if let Some(detect) = detect {
        detect.curves.retain(|own| own.of != of);
        detect.curves.push(Curve { of, min, max, denominator });
    }
    Ok(())
}

fn based_on(by: Option<Selector>) -> RandomDetect {
    RandomDetect { by, ..RandomDetect::default() }
}

/// Makes sure that packets are told apart by this field, and no other.
fn base(
    words: &Words,
    detect: &mut Option<RandomDetect>,
    by: Option<Selector>,
) -> Result<(), TextError> {
    match detect {
        Some(detect) if detect.by != by => Err(words.error(What::refused(Fault::Selector))),
        Some(_) => Ok(()),
        None => {
            *detect = Some(based_on(by));
            Ok(())
        }
    }
}

//! The arrows that ARCHITECTURE.md draws are the arrows there are: between crates, and between
//! the floors of `qfp-core`, `client` and `lang`. The way of a packet is as short as
//! `docs/packet-walk.md` says.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use cargo_metadata::MetadataCommand;
use sources::{product_code, root, rust_files};

#[path = "support/sources.rs"]
mod sources;

type Outcome = Result<(), Box<dyn Error>>;

// rows: ARC-10, ARC-28, ARC-30
#[test]
fn every_arrow_between_crates_is_drawn_and_every_drawn_arrow_exists() -> Outcome {
    let drawn: BTreeSet<String> = crate_arrows(&fence("ARCHITECTURE.md", "crates")?)?;
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    let members: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let mut found = BTreeSet::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if members.contains(dependency.name.as_str()) {
                let note = if dependency.optional { " optional" } else { "" };
                found.insert(format!("{} -> {}{note}", package.name, dependency.name));
            }
        }
    }
    let undrawn: Vec<_> = found.difference(&drawn).collect();
    assert!(undrawn.is_empty(), "not drawn in ARCHITECTURE.md: {undrawn:?}");
    let gone: Vec<_> = drawn.difference(&found).collect();
    assert!(gone.is_empty(), "drawn in ARCHITECTURE.md, but not there: {gone:?}");
    Ok(())
}

#[test]
fn who_links_qfp_builds_nothing_of_what_programs_need() -> Outcome {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--package", "qfp", "--edges", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()?;
    let tree = String::from_utf8(tree.stdout)?;
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("qfp") && names.contains("client"), "{tree}");
    let programs = ["api", "clap", "comfy-table", "terminal", "jiff", "serde_json"];
    let found: Vec<_> = programs.into_iter().filter(|name| names.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

// rows: ARC-30
#[test]
fn modules_import_only_from_lower_floors() -> Outcome {
    ["qfp-core", "client", "lang"].into_iter().try_for_each(floors_hold)
}

/// The block of `package` draws all its modules, and no arrow goes up.
fn floors_hold(package: &str) -> Outcome {
    let floors = Floors::parse(&fence("ARCHITECTURE.md", &format!("floors {package}"))?)?;
    let source = root().join(package).join("src");
    let mut modules = BTreeSet::new();
    let mut wrong = Vec::new();
    for file in rust_files(&source)? {
        let Some(module) = module_of(&source, &file) else { continue };
        let names = crate_names(&product_code(&std::fs::read_to_string(&file)?));
        wrong.extend(names.iter().filter(|name| !floors.allow(&module, name)).map(|name| {
            format!("{}: {module} -> {name}", file.strip_prefix(root()).unwrap_or(&file).display())
        }));
        modules.insert(module);
    }
    assert!(wrong.is_empty(), "not drawn in ARCHITECTURE.md:\n{}", wrong.join("\n"));
    let drawn: BTreeSet<String> = floors.level.keys().cloned().collect();
    assert_eq!(
        drawn, modules,
        "modules of {package} drawn in ARCHITECTURE.md, and modules there are"
    );
    Ok(())
}

#[test]
fn comments_and_tests_are_not_product_code_and_groups_are_taken_apart() {
    let text = "use crate::{\n  a::{B, c}, // crate::no\n  d,\n};\nlet x = crate::e::f();\n\
                #[cfg(test)]\nmod tests;\nfn g() { crate::h() }\n#[cfg(test)]\nmod more {\n\
                use crate::never;\n}\n";
    let names = crate_names(&product_code(text));
    assert_eq!(names, BTreeSet::from(["a", "d", "e", "h"].map(str::to_owned)));
}

#[test]
fn the_way_of_an_ordinary_packet_is_no_longer_than_its_document_says() -> Outcome {
    let mut way = fence("docs/packet-walk.md", "way")?;
    let said = way.pop().ok_or("an empty block")?;
    let files: Vec<&str> = way.iter().flat_map(|line| line.split_whitespace()).collect();
    let mut lines = 0;
    for file in &files {
        let path = root().join("qfp-core/src").join(file);
        lines += std::fs::read_to_string(path).map_err(|e| format!("{file}: {e}"))?.lines().count();
    }
    let numbers: Vec<usize> = said.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    assert!(numbers == [files.len(), numbers[1].max(lines)], "{lines} lines, but: {said}");
    Ok(())
}

/// Lines of the fenced block `name` of `document`.
fn fence(document: &str, name: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(root().join(document))?;
    let block: Vec<String> = text
        .lines()
        .skip_while(|line| *line != format!("```{name}"))
        .skip(1)
        .take_while(|line| *line != "```")
        .map(str::to_owned)
        .collect();
    if block.is_empty() {
        return Err(format!("{document} has no block ```{name}").into());
    }
    Ok(block)
}

/// `a -> b, c` is two arrows; `a -> b optional` is one that a feature switches on.
fn crate_arrows(lines: &[String]) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut arrows = BTreeSet::new();
    for line in lines {
        let (from, to) = line.split_once("->").ok_or_else(|| format!("no arrow in: {line}"))?;
        for to in to.split(',') {
            let words: Vec<&str> = to.split_whitespace().collect();
            arrows.insert(format!("{} -> {}", from.trim(), words.join(" ")));
        }
    }
    Ok(arrows)
}

/// The floors of a crate, and the arrows that do not go down.
struct Floors {
    level: BTreeMap<String, usize>,
    drawn: BTreeSet<(String, String)>,
}

impl Floors {
    /// A line is a floor, top to bottom, its modules separated by blanks; or arrows of one module.
    fn parse(lines: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut floors = Self { level: BTreeMap::new(), drawn: BTreeSet::new() };
        for (level, line) in lines.iter().enumerate() {
            if let Some((from, to)) = line.split_once("->") {
                let arrows = to.split(',').map(|to| (from.trim().to_owned(), to.trim().to_owned()));
                floors.drawn.extend(arrows);
                continue;
            }
            for module in line.split_whitespace() {
                if floors.level.insert(module.to_owned(), level).is_some() {
                    return Err(format!("{module} is drawn on two floors").into());
                }
            }
        }
        Ok(floors)
    }

    fn allow(&self, from: &str, to: &str) -> bool {
        let (Some(above), Some(below)) = (self.level.get(from), self.level.get(to)) else {
            // What is no module is the crate's own name for something; a module that is not drawn
            // is reported as such.
            return true;
        };
        from == to || above < below || self.drawn.contains(&(from.to_owned(), to.to_owned()))
    }
}

/// The top module that a file belongs to; none for `lib.rs`.
fn module_of(source: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(source).ok()?.components().next()?;
    let name = Path::new(first.as_os_str()).file_stem()?.to_str()?;
    (name != "lib").then(|| name.to_owned())
}

/// First names of all paths that begin with `crate::`, groups taken apart.
fn crate_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let Some(group) = path.strip_prefix('{') else {
            names.insert(first_word(path));
            continue;
        };
        let mut depth = 0_usize;
        let mut item = String::new();
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.insert(first_word(&item));
                    item.clear();
                }
                _ if depth == 0 => item.push(letter),
                _ => {}
            }
        }
        names.insert(first_word(&item));
    }
    names.remove("");
    names
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

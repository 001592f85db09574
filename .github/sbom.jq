# The SBOM of a binary (CycloneDX 1.5), of the lines of
# cargo tree --edges normal --prefix none --format '{p}|{l}'
# which are the crates that are built into it. A line of another shape is an error.
# jq --raw-input --null-input --arg name NAME --arg version VERSION --from-file .github/sbom.jq

def crate:
  sub(" \\(\\*\\)$"; "")
  | if test("^[^ |]+ v[^ |]+( \\([^)|]+\\))*\\|[^|]*$") then
      capture("^(?<name>[^ ]+) v(?<version>[^ |]+)[^|]*\\|(?<license>.*)$")
    else
      error("a line that is no crate: \(.)")
    end
  | .license |= gsub("/"; " OR ");

[inputs | select(. != "") | crate]
| unique
| if any(.name == $name and .version == $version) then . else error("\($name) \($version) is not in the tree") end
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {component: {type: "application", name: $name, version: $version, "bom-ref": "pkg:cargo/\($name)@\($version)"}},
    components: map(
      select(.name != $name)
      | {type: "library", name, version, "bom-ref": "pkg:cargo/\(.name)@\(.version)", purl: "pkg:cargo/\(.name)@\(.version)"}
        + if .license == "" then {} else {licenses: [{expression: .license}]} end
    )
  }

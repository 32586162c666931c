// How is a DICOM name read? `Shi^Xiuying=石^秀英` as a person writes it: 石秀英, and its letters beside.

/** {name, latin}; `latin` is empty where the letters are all there is. What objects say exactly stays in reconciliation. */
export function personName(written) {
  const groups = written.split("=").map((group) => group.split("^").filter(Boolean).join(" ").trim());
  const [letters, characters = ""] = groups;
  if (characters === "") return { name: unspaced(letters), latin: "" };
  return { name: unspaced(characters), latin: letters === characters ? "" : letters };
}

/** Chinese names have no blank between surname and given name. */
function unspaced(name) {
  return /^[\p{Script=Han}\s·]+$/u.test(name) ? name.replace(/\s+/g, "") : name;
}

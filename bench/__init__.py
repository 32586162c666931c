"""How fast is hutong, side by side with a floor in the same run? Every number of the README comes from here."""

"""Finding out what is wrong, and saying how to mend it.

`findings` is what a check says, `remedies` the table of troubles with their causes and steps, `report`
and `page` show findings; none of them does any input or output.
"""

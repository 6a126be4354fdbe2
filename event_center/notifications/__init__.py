"""To whom alarms are told outside of trueframe, when, and how it is made sure that they are."""
